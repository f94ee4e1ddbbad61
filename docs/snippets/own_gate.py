"""Gates of one's own, as docs/howto/own-gate.md shows them."""

# region gate
import everfit as ef


@ef.gate
def answers_vary(evidence):
    """Not every delivery may get the same prediction."""
    spread = float(evidence.predicted.std())
    return spread > 0.01, spread, 0.01


# endregion


# region champion
@ef.gate
def close_to_champion(evidence):
    """Predictions may not differ by more than 0.2 from the champion's on average."""
    if evidence.champion is None:
        return True
    distance = float(abs(evidence.predicted - evidence.champion).mean())
    return distance <= 0.2, distance, 0.2


# endregion


def use(late_order):
    # region use
    late_order.ship_when(answers_vary, ef.MaxLatency(p99_ms=20))
    # endregion
