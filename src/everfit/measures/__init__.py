"""Measures: pure numbers on NumPy arrays, one algorithm or tight family per file.

:mod:`~everfit.measures.quality` lists the metrics; :mod:`~everfit.measures.interval` says how sure they are.
:mod:`~everfit.measures.sketch` is what remains of a window's rows, and adds up; the distances compare two of them.
"""
