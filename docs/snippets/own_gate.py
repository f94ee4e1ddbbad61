"""A gate of one's own, as docs/howto/own-gate.md shows it."""

# region gate
import everfit as ef


@ef.gate
def answers_vary(evidence):
    """Not every row may get the same answer."""
    spread = float(evidence.predicted.std())
    return spread > 0.01, spread, 0.01


# endregion
