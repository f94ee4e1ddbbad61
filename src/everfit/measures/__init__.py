"""Measures: pure numbers on NumPy arrays, one algorithm or tight family per file.

:mod:`~everfit.measures.quality` lists the metrics, :mod:`~everfit.measures.interval` their bootstrap intervals.
:mod:`~everfit.measures.sketch` is a mergeable summary of a window's rows; the distances compare two of them.
"""
