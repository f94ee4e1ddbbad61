"""Compiled ways to execute a model, one per file; see the catalogue."""
