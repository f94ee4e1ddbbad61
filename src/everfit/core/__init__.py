"""Errors, records, settings and clocks, which all other packages use. No input or output here."""
