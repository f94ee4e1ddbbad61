"""Everfit keeps machine-learning models fit for purpose after they ship."""
