"""Level full, from an empty folder: what is pushed is tested, built, released, trained, rolled out, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.acceptance.bakery import Bakery, make_bakery, shops, wait
from tests.acceptance.shop import everfit
from tests.loop.calling import Callers
from tests.loop.parcels import running

from everfit.core.release import STEPS

LEAK = 'today = ef.FeatureView("today", entities=[shop], source=sales, ttl="3d", features=["sold"])'


@pytest.fixture
def bakery(tmp_path: Path) -> Bakery:
    return make_bakery(tmp_path)


def refused(bakery: Bakery, commit: str, step: str, *words: str) -> None:
    """Require that a commit is refused at a step for a reason, and that nothing changes."""
    active, champion = bakery.system.releases.active(), bakery.serving
    release = bakery.released(commit)
    assert (release.state, release.steps[-1].step) == ("refused", step), release
    for word in words:
        assert word in release.sentence, release.sentence
    log = everfit(bakery.folder, "releases", "show", str(release.number)).out
    assert release.steps[-1].log in log
    assert bakery.system.releases.active() == active
    assert bakery.serving == champion
    status = everfit(bakery.folder, "status", COLUMNS="400")
    assert f"pinned because release {release.number}" in status.out, status.err + status.out


def taken_back(bakery: Bakery, commit: str, words: str) -> None:
    """Require that the code of a commit works, that its model is refused by a gate, and that nothing is left of it."""
    active, champion = bakery.system.releases.active(), bakery.serving
    assert active is not None
    wait(lambda: bakery.released(commit).state == "taken_back")
    release = bakery.released(commit)
    assert [step.outcome for step in release.steps] == ["passed"] * len(STEPS), release
    assert words in release.sentence, release.sentence
    back = bakery.system.releases.active()
    assert back is not None
    assert back.number == active.number
    assert bakery.serving == champion
    assert f"pinned because release {release.number}" in everfit(bakery.folder, "status", COLUMNS="400").out


@pytest.mark.slow
def test_what_is_pushed_serves_or_is_refused_while_every_request_is_answered(bakery: Bakery) -> None:
    first = bakery.push("first")
    with running(bakery.folder) as url:
        release = bakery.released(first)
        assert release.state == "active", release
        # Trained by the folder's code, which is that of the release.
        wait(lambda: (lineage := bakery.champion) is not None and lineage.code.commit == first)
        with Callers(int(url.rpartition(":")[2]), shops) as callers:
            bakery.replace("early_stopping=False", "l2_regularization=1.0, early_stopping=False")
            better = bakery.push("better trainer")
            release = bakery.released(better)
            assert release.state == "active", release
            assert bakery.champion_of(release).code.commit == better

            bakery.write("tests/test_more.py", "def test_more():\n    assert 1 + 1 == 3\n")
            refused(bakery, failing := bakery.push("failing test"), "tests", "test_more")
            assert bakery.released(bakery.revert(failing)).state == "unchanged"

            bakery.replace("import everfit as ef", "import everfit as ef\n\ndef broken(:\n")
            refused(bakery, broken := bakery.push("syntax error"), "check", "invalid syntax", "project.py:12")
            assert bakery.released(bakery.revert(broken)).state == "unchanged"

            bakery.write("pyproject.toml", '[project]\nname = "bakery"\nversion = "1"\ndependencies = ["no-such==1"]\n')
            bakery.write("uv.lock", 'version = 1\nrequires-python = ">=3.11"\n')
            refused(bakery, unlocked := bakery.push("broken environment"), "environment", "uv.lock")
            assert bakery.released(bakery.revert(unlocked)).state == "unchanged"

            bakery.write("tests/test_more.py", "import time\n\ndef test_more():\n    time.sleep(600)\n")
            refused(bakery, hanging := bakery.push("hanging test"), "tests", "[releases] step_seconds")
            assert bakery.released(bakery.revert(hanging)).state == "unchanged"

            bakery.replace("# On-demand features", f"{LEAK}\n\n\n# On-demand features")
            bakery.replace("calendar, recent_sales]", "calendar, recent_sales, today]")
            refused(bakery, leak := bakery.push("leak"), "data", "feature view today", "sold changes if sold after")
            assert bakery.released(bakery.revert(leak)).state == "unchanged"

            bakery.replace("early_stopping=False", "early_stopping=False, max_iter=1")
            taken_back(bakery, worse := bakery.push("worse model"), "significantly worse")
            assert bakery.released(bakery.revert(worse)).state == "unchanged"

            back = bakery.revert(better)
            release = bakery.released(back)
            assert release.state == "active", release
            assert bakery.champion_of(release).code.commit == back
        assert callers.answered
        assert not callers.refusals, callers.refusals[0]
        assert callers.unanswered == 0
    assert everfit(bakery.folder, "status", COLUMNS="400").out.count("pinned") == 0
