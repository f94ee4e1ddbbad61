"""Everfit measured against its goals and its peers; ``make bench``."""
