"""Checks of a project's definitions against the data: all problems at once, with place, value and remedy."""
