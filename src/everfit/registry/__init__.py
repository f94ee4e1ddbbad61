"""Versions of models, their aliases, their lineage, and the history of who was champion when and why."""
