"""Monitoring: performance of every version, drift of its inputs, and findings that need attention."""
