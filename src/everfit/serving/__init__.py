"""Answers requests: HTTP, feature look-up, model execution.

:mod:`everfit.serving.plane` is the one data plane; whatever speaks to callers is a thin adapter before it.
"""
