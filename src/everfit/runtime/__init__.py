"""Processes and durable workflows; no machine learning."""
