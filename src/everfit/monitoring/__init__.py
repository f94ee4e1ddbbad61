"""Monitoring: how good every version is, whether its inputs moved, and what of it is worth somebody's attention."""
