"""Answers requests: HTTP, feature look-up, model execution.

Every protocol is a thin adapter in front of :mod:`everfit.serving.inference.data_plane`.
"""
