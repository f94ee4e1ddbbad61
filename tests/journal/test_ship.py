"""Every record once in the lake, whatever is killed, repeated, torn or broken."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest
from tests.journal.records import START, Service, hour, variant

from everfit.core.errors import StoreError
from everfit.journal.prediction_rows import BASE
from everfit.journal.ship import ship
from everfit.journal.tables import scan_outcomes, scan_predictions
from everfit.store.lake import scan_tables
from everfit.store.pushed_rows import PushTailer
from everfit.store.segments import SegmentWriter, sealed_segments

WRITER = """
import sys
from pathlib import Path
from tests.journal.records import Service
service = Service(Path(sys.argv[1]), seal_bytes=5_000)
for number in range(10_000_000):
    service.predict(f"{sys.argv[2]}-{number}")
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""
KILLED = """
import os, signal, sys
from pathlib import Path
import everfit.journal.ship as ship
import everfit.store.lake as lake
place, left, number = sys.argv[3], int(sys.argv[4]), 0
def before(function):
    def called(*arguments, **named):
        global number
        number += 1
        if number > left:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **named)
    return called
if place == "delete":
    os.unlink = before(os.unlink)
else:
    lake.append_rows = before(lake.append_rows)
ship.ship(Path(sys.argv[1]), Path(sys.argv[2]), rows_per_commit=3)
"""

HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "w")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def shipped(lake: Path) -> pl.DataFrame:
    return scan_tables(lake, "predictions/late", (), base=BASE).collect()


def ids(lake: Path, journal: Path) -> list[str]:
    return sorted(scan_predictions(lake, journal, "late").select("id").collect().to_series())


def test_predictions_become_rows_with_their_types(journal: Path, lake: Path) -> None:
    service = Service(journal)
    service.predict("a", "b", at=1)
    service.stop()
    (logs, *_) = ship(journal, lake).logs
    assert (logs.segments, logs.rows, logs.torn_bytes, logs.set_aside) == (1, 2, 0, [])
    frame = scan_predictions(lake, journal, "late").sort("row").collect()
    assert frame.drop("segment").rows(named=True)[1] == {
        "id": "b",
        "model": "late",
        "version": 3,
        "digest": "sha256:1",
        "route": "champion",
        "row": 1,
        "recorded_at": hour(1),
        "event_time": START,
        "latency_us": 150,
        "place": 0,
        "prediction": 0.25,
        "request.shop": 7,
        "request.at": START,
        "request.day": START.date(),
        "request.note": "ok",
        "feature.shop.load": 0.5,
        "feature.distance": 12.0,
        "feature.kind": "new",
    }
    assert not sealed_segments(journal / "predictions")


def test_every_class_has_a_column_and_the_clock_is_the_event_time(journal: Path, lake: Path) -> None:
    service = Service(journal)
    layout = variant(task="multiclass", classes=("red, or so", 2), event_time="")
    service.predict("a", at=2, layout=layout, value=(0.75, 0.25))
    service.stop()
    ship(journal, lake)
    row = scan_predictions(lake, journal, "late").collect().row(0, named=True)
    assert (row["prediction.red, or so"], row["prediction.2"], row["event_time"]) == (0.75, 0.25, hour(2))


def test_what_is_being_written_is_left_but_read(journal: Path, lake: Path) -> None:
    service = Service(journal)
    service.predict("a")
    assert ship(journal, lake).rows == 0
    assert ids(lake, journal) == ["a"]
    assert shipped(lake).is_empty()
    assert scan_predictions(lake, journal, "other").collect().is_empty()


def test_a_segment_that_comes_back_is_not_shipped_twice(journal: Path, lake: Path, tmp_path: Path) -> None:
    """A crash between commit and delete, as the next shipper finds it."""
    service = Service(journal)
    service.predict("a", "b")
    service.predict("c", layout=variant(event_time=""))
    service.report({"a": "True"}, at=1)
    service.push((1, 0, 0, 2.5))
    service.stop()
    shutil.copytree(journal, tmp_path / "copy")
    assert ship(journal, lake).rows == 5
    shutil.copytree(tmp_path / "copy", journal, dirs_exist_ok=True)
    assert ids(lake, journal) == ["a", "b", "c"]
    again = ship(journal, lake)
    assert (again.rows, [each.segments for each in again.logs]) == (0, [1, 1, 1, 0, 0])
    assert ids(lake, journal) == ["a", "b", "c"]
    assert scan_outcomes(lake, journal, "late").collect().height == 1
    assert PushTailer(lake, journal, "load").scan().collect().height == 1


@pytest.mark.parametrize("place", ["delete", "write"])
@pytest.mark.parametrize("left", [0, 1, 2])
def test_a_shipper_killed_at_any_step_doubles_and_loses_nothing(
    journal: Path, lake: Path, repository: Path, place: str, left: int
) -> None:
    service = Service(journal, seal_bytes=500)
    other = variant(event_time="")
    wanted = []
    for number in range(10):
        service.predict(f"{number}", layout=other if number % 3 else variant())
        wanted.append(f"{number}")
    service.stop()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(journal), str(lake), place, str(left)], cwd=repository, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert ids(lake, journal) == wanted
    ship(journal, lake)
    assert ids(lake, journal) == wanted
    assert shipped(lake).height == 10


@pytest.mark.parametrize("seed", range(3))
def test_everything_acknowledged_is_in_the_lake_once(journal: Path, lake: Path, repository: Path, seed: int) -> None:
    """kill -9 of the writer at random moments, with shipping between."""
    acknowledged: dict[str, int] = {}
    for turn in range(3):
        name = f"{seed}{turn}"
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(journal), name], stdout=subprocess.PIPE, text=True, cwd=repository
        )
        assert process.stdout is not None
        for _ in range(random.Random(f"{seed} {turn}").randint(1, 1000)):
            acknowledged[name] = int(process.stdout.readline())
        ship(journal, lake)  # while it writes
        process.send_signal(signal.SIGKILL)
        rest = process.communicate()[0].split("\n")[:-1]
        acknowledged[name] = int(rest[-1]) if rest else acknowledged[name]
    ship(journal, lake)
    found = shipped(lake)["id"]
    assert found.is_unique().all()
    for name, last in acknowledged.items():
        assert {f"{name}-{number}" for number in range(last + 1)} <= set(found)
    assert len(found) <= sum(last + 2 for last in acknowledged.values())


def test_a_torn_record_is_cut_and_counted(journal: Path, lake: Path) -> None:
    service = Service(journal)
    service.predict("a")
    service.predict("b")
    service.stop()
    (path,) = sealed_segments(journal / "predictions")
    content = path.read_bytes()
    path.with_suffix(".open").write_bytes(content[:-3])
    path.unlink()
    log = ship(journal, lake).logs[0]
    assert (log.rows, log.segments, log.set_aside) == (1, 1, [])
    assert 0 < log.torn_bytes < len(content) / 2
    assert ids(lake, journal) == ["a"]


def test_what_cannot_be_understood_is_set_aside_and_keeps_nobody_waiting(journal: Path, lake: Path) -> None:
    writer = SegmentWriter(journal / "predictions")
    writer.write([b"\x93\x01\x02\x03"])
    writer.close()
    (journal / "predictions" / "0000000000000000-no.sealed").write_bytes(b"no segment at all")
    service = Service(journal)
    service.predict("a")
    service.predict("short", row=(1,))
    service.log.close()
    service.predict("b")
    service.stop()
    log = ship(journal, lake).logs[0]
    assert (log.segments, log.rows, len(log.set_aside)) == (1, 1, 3)
    broken = {path.stem for path in (journal / "predictions").glob("*.broken")}
    assert broken == {Path(name).stem for name in log.set_aside}
    assert ids(lake, journal) == ["b"]
    assert ship(journal, lake).logs[0].set_aside == []


def test_a_segment_that_was_damaged_is_kept_for_what_could_not_be_read(journal: Path, lake: Path) -> None:
    service = Service(journal)
    for name in ("a", "b", "c"):
        service.predict(name)
    service.stop()
    (path,) = sealed_segments(journal / "predictions")
    content = bytearray(path.read_bytes())
    content[content.index(b"\xa1b")] ^= 1
    path.write_bytes(content)
    log = ship(journal, lake).logs[0]
    assert (log.rows, log.set_aside) == (1, [path.name])
    assert log.torn_bytes > 0
    assert path.with_suffix(".broken").read_bytes() == content


def test_only_one_ships(journal: Path, lake: Path, repository: Path) -> None:
    journal.mkdir()
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(journal / "ship.lock")], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(StoreError, match="only one process at a time"):
            ship(journal, lake)
    finally:
        holder.communicate()
    assert ship(journal, lake).rows == 0


def test_features_of_another_type_get_a_table_of_their_own(journal: Path, lake: Path) -> None:
    """The log does not say a feature's type: whatever comes must be shipped, and nothing of it changed."""
    service = Service(journal)
    for number, kind in enumerate([None, "new", 3, None, True, 2.5]):
        service.predict(f"{number}", features=(0.5, None, kind))
        service.log.close()
        ship(journal, lake)
    rows = scan_predictions(lake, journal, "late").sort("id").collect()
    # The first was written when nothing said that it would be text.
    assert rows["feature.kind"].to_list() == [None, "new", "3.0", None, "true", "2.5"]
    assert rows["feature.distance"].to_list() == [None] * 6
    tables = sorted(path.parent.name.partition("-")[2] for path in lake.rglob("_delta_log"))
    assert tables == ["", "2", "3"]


def test_segments_of_different_types_go_at_once(journal: Path, lake: Path) -> None:
    service = Service(journal)
    for number, kind in enumerate([None, "new", None, 3, True]):
        service.predict(f"{number}", features=(0.5, None, kind))
        service.log.close()
    assert ship(journal, lake).rows == 5
    rows = scan_predictions(lake, journal, "late").sort("id").collect()
    assert rows["feature.kind"].to_list() == [None, "new", None, "3.0", "true"]
    assert ids(lake, journal) == ["0", "1", "2", "3", "4"]


def test_layouts_of_a_model_are_read_together(journal: Path, lake: Path) -> None:
    service = Service(journal)
    service.predict("a")
    service.predict(
        "b", layout=variant(version=4, request=(("shop", "string"), ("weight", "number"))), row=("seven", 1.5)
    )
    service.stop()
    read = scan_predictions(lake, journal, "late").sort("id").collect()
    ship(journal, lake)
    for rows in (read, scan_predictions(lake, journal, "late").sort("id").collect()):
        assert rows["request.shop"].to_list() == ["7", "seven"]
        assert rows["request.weight"].to_list() == [None, 1.5]
        assert rows["version"].to_list() == [3, 4]


def test_odd_names_and_values_are_shipped(journal: Path, lake: Path) -> None:
    service = Service(journal)
    layout = variant(request=(("Größe, in cm;\n", "number"), ("n", "integer"), ("day", "date")), event_time="")
    service.predict("a", layout=layout, row=(float("nan"), 2**63, "2024-02-30"))
    service.predict("b", layout=layout, row=(float("-inf"), -(2**63), None), value=float("inf"))
    service.stop()
    assert ship(journal, lake).rows == 2
    rows = scan_predictions(lake, journal, "late").sort("id").collect()
    assert rows["request.n"].to_list() == [None, -(2**63)]
    assert rows["request.Größe, in cm;\n"].to_list()[1] == float("-inf")
    assert rows["prediction"].to_list() == [0.25, float("inf")]


def test_a_lake_that_cannot_be_written_costs_nothing(journal: Path, lake: Path) -> None:
    service = Service(journal)
    service.predict("a")
    service.stop()
    lake.write_bytes(b"a file where the folder should be")
    with pytest.raises(StoreError, match="could not be read or written"):
        ship(journal, lake)
    lake.unlink()
    assert ship(journal, lake).rows == 1
    assert ids(lake, journal) == ["a"]


def test_a_frame_read_before_shipping_stays_as_it_was(journal: Path, lake: Path) -> None:
    """Read lazily, shipped, then collected."""
    service = Service(journal)
    for number in range(5):
        service.predict(f"{number}")
        service.log.close()
        if number == 2:
            ship(journal, lake)
    frame = scan_predictions(lake, journal, "late").select(pl.col("id").sort())
    service.predict("later")
    service.stop()
    ship(journal, lake)
    assert frame.collect().to_series().to_list() == ["0", "1", "2", "3", "4"]
