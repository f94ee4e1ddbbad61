"""Monitoring reports: records, plots, page and gauges."""
