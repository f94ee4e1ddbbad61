"""A second system beside the first: it answers as well, and its controller leads once the first one is gone."""

from __future__ import annotations

import os
import time
from pathlib import Path

import psutil
import pytest
from tests.loop.calling import Callers, free_port
from tests.loop.parcels import HONEST, MODEL, make_champion, running
from tests.serving.test_deployment import wait_for

from everfit.commands.orders import give_order
from everfit.store.controller_report import read_controller_report
from everfit.wiring import open_system


@pytest.mark.slow
def test_the_second_leads_once_the_first_is_gone(tmp_path: Path) -> None:
    folder = make_champion(tmp_path / "parcels")
    folder.joinpath("parcels.py").write_text(HONEST + "\nlate.retrain_when(ef.Every('3650d'))\n")
    ports = free_port(), free_port()
    with (
        running(folder, "--port", str(ports[0]), log="first.log", crash=True),
        running(folder, "--port", str(ports[1]), log="second.log"),
        Callers(ports[1]) as callers,
    ):
        system = open_system(folder)
        before = read_controller_report(system.state)
        assert before is not None
        number = give_order(system, MODEL, actor="a person", reason="to see").number
        wait_for(lambda: any(each.state == "running" for each in system.orders.open()), seconds=60)
        first = psutil.Process(before.pid).parent()
        assert first is not None
        assert first.ppid() == os.getpid()
        # As if the first machine had lost its power.
        for each in (first, *first.children(recursive=True)):
            each.kill()
        died_s = time.monotonic()

        def led() -> bool:
            report = read_controller_report(system.state)
            return report is not None and report.pid != before.pid

        wait_for(led, seconds=20)
        assert time.monotonic() - died_s < 20
        # What the first had begun, the second ends.
        wait_for(lambda: all(each.state == "delivering" for each in system.orders.open()), seconds=90)
        [order] = system.orders.of(MODEL)
        assert (order.number, order.version) == (number, 2)
    assert callers.answered
    assert callers.unanswered == 0
    assert not callers.refusals
