"""Triggers: when to retrain, and why."""
