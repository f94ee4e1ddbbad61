"""Gates: what a candidate must pass before it may ship.

Each is a frozen value that judges from :class:`~everfit.core.evidence.Evidence` alone;
:func:`everfit.gates.judge.judge` puts them together.
"""
