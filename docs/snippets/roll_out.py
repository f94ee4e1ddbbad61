"""How a version takes the champion's place, as docs/howto/deliver.md shows it."""

import everfit as ef


def plan(late_order: ef.Model) -> None:
    """Say it for a model."""
    # region plan
    late_order.roll_out(
        ef.Shadow(requests=500, at_least="1h"),
        ef.Canary(share=0.1, requests=500, at_most="2d"),
        ef.Canary(share=0.5, requests=500),
        watch="7d",
        approval="required",
    )
    # endregion
