"""Definitions of a project file: frozen values for data, features, models, gates, retraining and rollouts.

Definitions hold no data and do no input or output; the stations use them.
"""
