"""The prediction service against its goals, its peers and what is physically possible, on one LightGBM classifier.

100 trees of 31 leaves, 20 numbers. The service has one core and ``wrk`` another; 16 connections, a row a request.
Everfit is the real command on a real project: it looks 16 of the numbers up and records every answer durably. The peers
are sent all 20 and record nothing. Each must answer what the estimator does.
"""

from __future__ import annotations

import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import serving_everfit
from benchmarks.measure import DATA, FOLDER, Figure
from benchmarks.serving_everfit import Everfit
from benchmarks.serving_peers import PEERS, Peer, measure, require_answer
from benchmarks.serving_process import free_port, running
from benchmarks.serving_project import Project, make_project
from benchmarks.serving_wrk import Load, ask, require_wrk, write_bodies


def run() -> list[Figure]:
    """Measure Everfit, what bounds it, and the peers, in turn."""
    require_wrk()
    DATA.mkdir(exist_ok=True)
    # Not where temporary files go: that may be memory, where durability costs nothing.
    with tempfile.TemporaryDirectory(dir=DATA) as name:
        folder = Path(name)
        project = make_project(folder / "project")
        project.learn()
        expected = project.fit(folder / "model.joblib")
        floor, disk_us = _floor(folder), _disk_us(folder / "synced")
        ours = serving_everfit.measure(project, folder)
        require_answer(ours.answer, expected)
        figures = _everfit(ours, floor, disk_us)
        return [*figures, *(_peer(peer, project, folder, expected, ours.batch) for peer in PEERS)]


def _everfit(ours: Everfit, floor: Load, disk_us: float) -> list[Figure]:
    batch, sync, sent, looked_up = ours.batch, ours.sync, ours.rows_sent, ours.rows_looked_up
    rows = serving_everfit.ROWS
    bare = f"asyncio and httptools answering {{}}: {floor.per_second:,.0f}/s"
    disk = f"fdatasync of 4 KiB: {disk_us:,.0f} µs"
    return [
        Figure(
            name="serving: requests a second, durability batch",
            value=batch.per_second,
            unit="/s",
            goal=15_000,
            reference=bare,
            ratio=batch.per_second / floor.per_second,
        ),
        Figure(name="serving: latency, durability batch, p50", value=batch.p50_us / 1e3, unit="ms"),
        Figure(name="serving: latency, durability batch, p99", value=batch.p99_us / 1e3, unit="ms", goal=3),
        Figure(
            name="serving: requests a second, durability sync",
            value=sync.per_second,
            unit="/s",
            goal=8_000,
            reference=disk,
        ),
        Figure(name="serving: latency, durability sync, p99", value=sync.p99_us / 1e3, unit="ms"),
        Figure(name="serving: batches, all sent", value=sent.per_second * rows, unit="rows/s", goal=120_000),
        Figure(name="serving: batches, 16 of 20 looked up", value=looked_up.per_second * rows, unit="rows/s"),
        Figure(name="serving: start to first answer", value=ours.start_s, unit="s", goal=1.5),
        Figure(name="serving: memory of a worker", value=ours.worker_mb, unit="MB", goal=120),
        Figure(name="serving: memory of the supervisor", value=ours.supervisor_mb, unit="MB"),
        Figure(
            name="serving: failed requests",
            value=sum(each.errors for each in (batch, sync, sent, looked_up)),
            unit="",
            goal=0,
        ),
    ]


def _peer(peer: Peer, project: Project, folder: Path, expected: float, ours: Load) -> Figure:
    """How many times a peer's requests a second Everfit answers; why not, where there is no peer to ask."""
    figure = Figure(name=f"serving: times as fast as {peer.title}", value=math.nan, unit="×")
    try:
        theirs = measure(peer, project, folder, expected)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        print(f"{peer.title}: {error}", file=sys.stderr)
        return figure | Figure(reference=f"not measured: {str(error).strip().splitlines()[-1][:120]}")
    times = ours.per_second / theirs.per_second
    failed = f", {theirs.errors:,} failed" if theirs.errors else ""
    said = f"{peer.requirements[0]}: {theirs.per_second:,.0f}/s, p99 {theirs.p99_us / 1e3:,.1f} ms{failed}"
    return figure | Figure(value=times, goal=peer.goal, reference=said)


def _floor(folder: Path) -> Load:
    """A server that does nothing, under the same load."""
    port = free_port()
    bodies = write_bodies(folder / "floor.jsonl", [{}])
    command = [sys.executable, "-m", "benchmarks.serving_floor", str(port)]
    variables = {"PYTHONPATH": str(FOLDER.parent)}
    with running(command, port=port, path="/", bodies=bodies, folder=folder, variables=variables) as service:
        return ask(service.url, bodies)


def _disk_us(path: Path) -> float:
    """What it takes to have 4 KiB on the disk, the median."""
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(200):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            taken.append(time.perf_counter() - began)
    return sorted(taken)[len(taken) // 2] * 1e6
