"""Rules by which a capability is on, off or broken: functions of the facts and of the level that is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, NamedTuple

from everfit.loop.level_facts import Level, LevelFacts, WorkerFacts

State = Literal["on", "off", "broken"]

LONGEST_SILENCE_S = 180.0
"""A controller makes a round a minute at least, and a round takes seconds; chosen: three rounds."""
LONGEST_UNSHIPPED_S = 300.0
"""Chosen: the above, and time in which a round ships what has piled up."""
LONGEST_LOADING_S = 60.0
"""Verifying, loading and warming up what is deployed takes seconds; chosen with room for a busy machine."""

_SHOWN = 3
"""Faults that a sentence names."""
_UP = "run everfit up"
_LOG = "see the log of everfit up"
_RESTORE = "restore it from a backup, or correct [stores] in everfit.toml"

_PROMOTE = "promote a version again: everfit promote MODEL VERSION"


class Judgement(NamedTuple):
    """State of a capability, its reason, the way to turn it on, and whether the project needs it."""

    state: State
    sentence: str
    next_step: str = ""
    needed: bool = True


Rule = Callable[[LevelFacts, Level], Judgement]


def _on(sentence: str) -> Judgement:
    return Judgement("on", sentence)


def _missing(is_asked: bool, sentence: str, next_step: str) -> Judgement:
    """Return that something which was set up does not run: broken if the level asks for it, else off."""
    return Judgement("broken" if is_asked else "off", sentence, next_step)


def _broken(sentence: str, next_step: str) -> Judgement:
    return Judgement("broken", sentence, next_step)


def _off(sentence: str, next_step: str) -> Judgement:
    return Judgement("off", sentence, next_step)


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _span(seconds: float) -> str:
    """Return a duration in the largest unit of which it has two.

    >>> [_span(seconds) for seconds in (0.4, 119, 7199, 86400, 1e6)]
    ['0 s', '119 s', '119 min', '24 h', '11 d']
    """
    for unit, size in (("d", 86_400.0), ("h", 3600.0), ("min", 60.0)):
        if seconds >= 2 * size:
            return f"{seconds // size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _sentence(clause: str) -> str:
    return f"{clause[:1].upper()}{clause[1:].rstrip('.')}."


def _loop_broken(facts: LevelFacts) -> Judgement | None:
    """Return the judgement on what the controller does, if it cannot do it; else ``None``."""
    found = facts.controller
    if facts.ledger.problem:
        return _broken("No controller can record what it does.", "see metadata store")
    if found.problem:
        return _broken(_sentence(found.problem), _UP)
    if found.round_age_s > LONGEST_SILENCE_S:
        silence = _span(found.round_age_s)
        return _broken(f"The controller, process {found.process}, has made no round for {silence}.", _LOG)
    return None


def _not_automated(facts: LevelFacts, level: Level, what: str) -> Judgement | None:
    """Return the judgement on what the controller does by itself from level semi on, if it does not; else ``None``."""
    if level == "manual":
        return _off(f"At level manual a person {what}.", 'write [loop] level = "semi"')
    return _loop_broken(facts)


def tracking(facts: LevelFacts, _: Level) -> Judgement:
    """Runs can be recorded."""
    found = facts.tracking
    if found.problem:
        return _broken(f"Runs cannot be recorded: {found.problem}.", _RESTORE)
    if not found.exists and facts.deployment.champions:
        return _broken("The store is gone that held the runs of the deployed versions.", _RESTORE)
    if not found.exists:
        return _on("Nothing is recorded yet; the first training makes the store.")
    return _on("Runs are recorded." if found.runs is None else f"Runs on record: {found.runs:,}.")


def source_repository(facts: LevelFacts, level: Level) -> Judgement:
    """The repository can be read, and has the branch."""
    found = facts.repository
    if found.problem:
        return _missing(
            level == "full",
            _sentence(found.problem),
            "run git init and commit the project, or write [releases] repository",
        )
    if not found.tip:
        return _missing(
            level == "full", f"Branch {found.branch} is not in {found.name}.", f"push a commit to {found.branch}"
        )
    return _on(f"Branch {found.branch} of {found.name} is at {found.tip[:7]}.")


def feature_store(facts: LevelFacts, level: Level) -> Judgement:
    """The views that models look up are in the online store, and not older than their ttl."""
    found, ttl_s = facts.online, facts.definitions.ttl_s
    if not ttl_s:
        return Judgement("off", "No model looks up a view.", needed=False)
    # What is deployed looks up features, whatever the level.
    is_asked = level != "manual" or bool(facts.deployment.champions)
    write = "run everfit features materialize"
    if found.problem:
        return _broken(
            f"The online store cannot be read: {found.problem}.",
            "delete its file, and run everfit features materialize",
        )
    if not found.exists:
        return _missing(is_asked, "There is no online store.", write)
    if absent := ttl_s.keys() - found.age_s.keys():
        return _missing(is_asked, f"Never written: {_names(absent)}.", write)
    expired = [f"{name} for {_span(age)}" for name, age in found.age_s.items() if age > ttl_s.get(name, age)]
    if expired:
        rule = f"Not written for longer than its values live: {_names(expired)}."
        return _missing(is_asked, rule, write)
    oldest = max(found.age_s[name] for name in ttl_s)
    return _on(f"Views: {_names(ttl_s)}; the oldest was written {_span(max(oldest, 0.0))} ago.")


def metadata_store(facts: LevelFacts, _: Level) -> Judgement:
    """The ledger can be written."""
    found = facts.ledger
    if found.problem:
        return _broken(f"Nothing can be put on record: {found.problem}.", _RESTORE)
    if not found.exists and facts.deployment.champions:
        return _broken("The ledger is gone that held the history of the deployed versions.", _RESTORE)
    if not found.exists:
        return _on("Nothing is on record yet; the first command makes the ledger.")
    return _on("Orders, rollouts, incidents and releases are on record.")


def registry(facts: LevelFacts, _: Level) -> Judgement:
    """Versions can be read, the deployed ones among them."""
    found, champions = facts.tracking, facts.deployment.champions
    if problem := found.problem or found.registry_problem:
        return _broken(f"Versions cannot be read: {problem}.", _RESTORE)
    known = found.versions
    if known is None and found.exists:
        return _on("It answers, and wants a login to tell its versions.")
    known = known or {}
    unknown = [f"{name} {number}" for name, number in champions.items() if number not in known.get(name, ())]
    if unknown:
        return _broken(f"Deployed, but not registered: {_names(unknown)}.", _RESTORE)
    counts = [f"{len(numbers)} of {name}" for name, numbers in known.items() if numbers]
    return _on(f"Versions: {_names(counts)}." if counts else "No version is registered yet.")


def orchestrated_training(facts: LevelFacts, level: Level) -> Judgement:
    """The controller carries orders out, durably."""
    definitions = facts.definitions
    if (judgement := _not_automated(facts, level, "starts every training")) is not None:
        return judgement
    if definitions.untrained:
        return _off(f"Without a trainer: {_names(definitions.untrained)}.", "write one: @model.trainer()")
    if facts.workflows.problem:
        return _broken(f"Workflows cannot be stored: {facts.workflows.problem}.", "restore it, and restart everfit up")
    if not facts.workflows.exists:
        return _broken("The database of the workflows is gone.", "restart everfit up")
    if facts.ledger.failures:
        return _broken(" ".join(facts.ledger.failures), "see everfit orders list")
    tuning = f"tuned in {definitions.trials} trials" if definitions.trials else "not tuned: [training] trials = 0"
    return _on(" ".join((f"Orders are carried out, {tuning}.", *facts.ledger.under_way)))


def tests_of_data_and_model(facts: LevelFacts, level: Level) -> Judgement:
    """Each candidate is judged by gates; at level full, each commit by the project's own tests."""
    if facts.documents.problem:
        return _unreadable(facts)
    definitions, files = facts.definitions, facts.documents.tests
    gates = f"{definitions.gates} gates judge each candidate"
    if files:
        return _on(f"{gates}; {files} files of tests.")
    if level == "full":
        return _broken(f"{gates}, but no test judges a commit.", "write tests/test_….py")
    return _on(f"{gates}. There are no tests of the project's own, which level full asks for.")


def delivery_of_models(facts: LevelFacts, level: Level) -> Judgement:
    """The controller rolls versions out by the deployment record."""
    if facts.deployment.problem:
        return _broken(_sentence(facts.deployment.problem), _PROMOTE)
    if (judgement := _not_automated(facts, level, "promotes every version")) is not None:
        return judgement
    champions = [f"{name} {number}" for name, number in facts.deployment.champions.items()]
    words = f"Champions: {_names(champions)}." if champions else "The first version that passes is deployed at once."
    approved = facts.definitions.approved
    return _on(f"{words} After an approval: {_names(approved)}." if approved else words)


def prediction_service(facts: LevelFacts, level: Level) -> Judgement:
    """Every worker runs, and the service can predict."""
    found, running = facts.service, _running(facts)
    if not found.workers and not found.problem:
        return _missing(level != "manual", "No worker runs.", _UP if level != "manual" else "run everfit serve")
    problems = [f"Worker {worker.slot} {worker.problem}." for worker in found.workers if worker.problem]
    if found.problem:
        problems.append(_sentence(found.problem))
    if problems:
        return _broken(" ".join(problems), _LOG)
    if not facts.deployment.problem and not any(worker.deployment for worker in running):
        return _off("Workers run, but no version is deployed yet.", "run everfit train, then everfit promote")
    return _on(f"{len(running)} of {len(found.workers)} workers answer{f' at {found.url}' if found.url else ''}.")


def real_time_monitoring(facts: LevelFacts, level: Level) -> Judgement:
    """Rounds are made, and what the service logs reaches them."""
    if (judgement := _loop_broken(facts)) is not None:
        return judgement._replace(state="off") if level == "manual" and facts.controller.problem else judgement
    if facts.journal.problem:
        return _broken(f"The log of predictions cannot be read: {facts.journal.problem}.", _LOG)
    if facts.journal.unshipped_s > LONGEST_UNSHIPPED_S:
        return _broken(f"The log was not shipped for {_span(facts.journal.unshipped_s)}.", _LOG)
    if facts.ledger.trouble:
        return _broken(facts.ledger.trouble, "see everfit incidents list --open")
    return _on(f"The last round was {_span(max(facts.controller.round_age_s, 0.0))} ago; the log is shipped.")


def triggered_retraining(facts: LevelFacts, level: Level) -> Judgement:
    """Each model has a policy that can order a training, and the controller asks it."""
    if (judgement := _not_automated(facts, level, "orders every training")) is not None:
        return judgement
    if facts.definitions.silent:
        return _off(f"Without a trigger: {_names(facts.definitions.silent)}.", "write one: model.retrain_when(…)")
    return _on("The policy of each model is asked in every round.")


def delivery_of_pipelines(facts: LevelFacts, level: Level) -> Judgement:
    """The branch is watched, and each commit is tested and released."""
    if level != "full":
        return _off("Below level full a person installs new code.", 'write [loop] level = "full"')
    if (judgement := _loop_broken(facts)) is not None:
        return judgement
    repository = facts.repository
    if repository.problem or not repository.tip:
        return _broken("The branch cannot be watched.", "see source repository")
    if not repository.watched:
        return _broken("The controller has not read the branch yet.", _LOG)
    return _releases(facts)


def _releases(facts: LevelFacts) -> Judgement:
    """Return the judgement on the releases of a branch that is watched."""
    found, branch = facts.ledger, facts.repository.branch
    present = f"{found.active} is active" if found.active else "the project's own folder is what runs"
    if found.pinned:
        pinned = _sentence(f"{present}, {found.pinned}")
        return _broken(pinned, "see everfit releases list") if found.is_pinned_by_failure else _on(pinned)
    under_way = f" Under way: {', '.join(found.releasing)}." if found.releasing else ""
    return _on(f"Branch {branch} is watched; {present}.{under_way}")


def update_of_services(facts: LevelFacts, level: Level) -> Judgement:
    """Every worker has loaded what is deployed."""
    found, running = facts.deployment, _running(facts)
    if not running:
        return _missing(level != "manual", "No worker can be updated.", "see prediction service")
    if found.problem or (not found.number and any(worker.deployment for worker in running)):
        return _broken("Workers keep what they have loaded, since there is no deployment record to read.", _PROMOTE)
    if refused := [sentence for worker in running for sentence in worker.refused]:
        return _broken(f"Not loaded: {' '.join(dict.fromkeys(refused))}", _LOG)
    behind = [str(worker.slot) for worker in running if worker.deployment != found.number]
    if behind and found.age_s > LONGEST_LOADING_S:
        return _broken(f"Without deployment {found.number}: worker {_names(behind)}.", _LOG)
    if behind:
        return _on(f"Deployment {found.number} is being loaded by worker {_names(behind)}.")
    return _on(f"Each worker serves deployment {found.number}." if found.number else "Workers wait for a deployment.")


def _running(facts: LevelFacts) -> tuple[WorkerFacts, ...]:
    return tuple(worker for worker in facts.service.workers if not worker.problem)


def _unreadable(facts: LevelFacts) -> Judgement:
    return _broken(f"The project's files cannot be read: {facts.documents.problem}.", "see everfit doctor")


def standardised_design(facts: LevelFacts, level: Level) -> Judgement:
    """Each model has a design record without a fault."""
    found = facts.documents
    if found.problem:
        return _unreadable(facts)
    if found.undesigned:
        rule = f"Without a design record: {_names(found.undesigned)}."
        return _missing(level == "full" or bool(found.design), rule, "run everfit design new")
    if found.faults:
        return _broken(f"Not valid: {' '.join(found.faults[:_SHOWN])}", "see everfit check")
    if found.unfilled:
        return _missing(level == "full", f"Not filled in: {_names(found.unfilled)}.", "see everfit check")
    overdue = f" A review is overdue: {_names(found.overdue)}." if found.overdue else ""
    return _on(f"Valid: {_names(found.design)}.{overdue}")


def documentation(facts: LevelFacts, level: Level) -> Judgement:
    """The project is described for its readers."""
    found = facts.documents
    if found.problem:
        return _unreadable(facts)
    if not found.readme:
        return _missing(level == "full", "There is no README beside the definitions.", "write README.md")
    if found.undesigned or found.faults or found.unfilled:
        return _missing(level == "full", f"There is {found.readme}, but no valid design.", "see standardised design")
    return _on(f"There are {found.readme} and {_names(found.design)}; everfit docs adds what is on record.")
