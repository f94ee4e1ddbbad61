"""What every room stands on: errors, records, settings, the clock. No input or output here."""
