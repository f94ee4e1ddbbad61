"""Probes of the processes of a project: the leading controller, and the workers of the prediction service."""

from __future__ import annotations

from http import HTTPStatus

import msgspec

from everfit.core.errors import StoreError
from everfit.core.sqlite_url import sqlite_path
from everfit.loop.level_facts import ControllerFacts, ServiceFacts, WorkerFacts
from everfit.loop.store_probes import Probed
from everfit.serving.worker_report import WorkerReport, read_reports, report_file
from everfit.store.controller_report import CONTROLLER_FILE, is_alive, is_stopped, read_controller_report
from everfit.store.database_probe import probing
from everfit.store.http_probe import probe_server
from everfit.store.leadership import has_leading_session, leading_process

_SILENT_S = 10.0
"""A worker writes its report every second; chosen with room for a busy machine."""


def probe_controller(probed: Probed) -> ControllerFacts:
    """Find the leading controller, and the time of its last round."""
    report = read_controller_report(probed.state)
    if sqlite_path(probed.ledger_url) is not None:
        process, problem = _leader(probed)
    else:  # it may be another machine's
        process, problem = report.pid if report is not None else 0, ""
        with probing(probed.ledger_url, writes=False) as engine, engine.connect() as connection:
            problem = "" if has_leading_session(connection) else "no controller leads"
    if not problem and (report is None or report.pid != process):
        problem = f"the controller, process {process}, has not begun its rounds yet"
    if problem:
        return ControllerFacts(problem=problem, process=process)
    return ControllerFacts(process=process, round_age_s=probed.age_s(probed.state / CONTROLLER_FILE))


def _leader(probed: Probed) -> tuple[int, str]:
    """Return the process that leads on this machine, and the reason why it does not work."""
    process = leading_process(probed.state / "controller.lock")
    if process is None:
        return 0, "no controller leads"
    if not process or not is_alive(process):
        return 0, "another process holds the lock of the controller"
    return process, f"the controller, process {process}, is stopped" if is_stopped(process) else ""


def probe_service(probed: Probed) -> ServiceFacts:
    """Find the workers that run, or that a living supervisor is to run, and ask the health endpoint."""
    reports = read_reports(probed.state / "workers")
    present = [reports[slot] for slot in sorted(reports) if is_alive(reports[slot].pid) or _is_due(reports[slot])]
    workers = tuple(_worker(probed, report) for report in present)
    url = next((report.url for report in present if report.url and is_alive(report.pid)), "")
    problem = ""
    if url and any(report.loaded for report in present):
        problem = _unhealthy(url)
    return ServiceFacts(problem=problem, workers=workers, url=url)


def _is_due(report: WorkerReport) -> bool:
    """Return true if the process lives that is to start an ended worker again."""
    return report.supervisor > 0 and is_alive(report.supervisor)


def _worker(probed: Probed, report: WorkerReport) -> WorkerFacts:
    silent_s, problem = probed.age_s(report_file(probed.state / "workers", report.slot)), ""
    if not is_alive(report.pid):
        problem = f"has ended (process {report.pid}), and does not run again yet"
    elif is_stopped(report.pid):
        problem = f"is stopped (process {report.pid})"
    elif silent_s > _SILENT_S:
        problem = f"has not reported for {silent_s:.0f} s (process {report.pid})"
    refused = tuple(f"{name} could not be loaded: {why.rstrip('.')}." for name, why in report.refused.items())
    return WorkerFacts(slot=report.slot, problem=problem, deployment=report.deployment, refused=refused)


def _unhealthy(url: str) -> str:
    """Return the reason why the service does not live or cannot predict; empty if it does."""
    for path in ("/health/live", "/health/ready"):
        try:
            status, body = probe_server(url + path)
        except StoreError as error:
            return error.rule
        if status != HTTPStatus.OK:
            return f"{path} answers with status {status}: {_message(body)}"
    return ""


def _message(body: bytes) -> str:
    """Return the message of an error of the service; else the beginning of the body."""
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:200].decode(errors="replace")
