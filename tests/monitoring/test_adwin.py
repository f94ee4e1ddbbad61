from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

from everfit.core.errors import DataError, MisuseError
from everfit.monitoring.adwin import adwin_rises

if TYPE_CHECKING:
    from everfit.measures.weighting import Floats


def errors(dice: np.random.Generator, share: float, steps: int) -> Floats:
    return (dice.random(steps) < share).astype(np.float64)


@pytest.mark.slow
def test_is_what_the_notes_measured() -> None:
    """Errors at 10 %, at 15 % from step 5,000; beside ``test_betting``'s, which has a proof."""
    dice, early, delays = np.random.default_rng(0), 0, []
    for _ in range(60):
        found = adwin_rises(np.concatenate([errors(dice, 0.1, 5_000), errors(dice, 0.15, 5_000)]))
        early += bool((found < 5_000).any())
        after = found[found >= 5_000]
        delays.append(after[0] - 5_000 if len(after) else 5_000)
    assert early <= 3
    assert 600 < np.median(delays) < 1_500


def test_tells_worse_from_better() -> None:
    dice = np.random.default_rng(1)
    worse = np.concatenate([errors(dice, 0.1, 2_000), errors(dice, 0.6, 2_000)])
    found = adwin_rises(worse)
    assert len(found)
    assert 2_000 < found[0] < 2_200
    assert not len(adwin_rises(1.0 - worse))
    assert not len(adwin_rises(np.empty(0)))


def test_losses_outside_are_refused() -> None:
    with pytest.raises(DataError):
        adwin_rises(np.array([0.0, 1.5]))


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "river", None)
    monkeypatch.setitem(sys.modules, "river.drift", None)
    with pytest.raises(MisuseError, match=r"pip install 'everfit\[river\]'"):
        adwin_rises(np.zeros(3))
