"""Steps `check` and `tests` of a release: mistakes of the code are refused with a sentence that names them."""

from __future__ import annotations

from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage

import pytest
from tests.commands.trials import Release, make_release

from everfit.core.errors import ProcessKilledError
from everfit.core.release_trial import TRIAL_STEPS, TrialResult


@pytest.fixture
def release(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Release:
    # Plugins of Everfit's developers take pytest 3 s to import.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    return make_release(tmp_path)


def refused(release: Release, **request: object) -> str:
    """The sentence with which the check refuses; nothing else is tried after it."""
    results = release.tried_here("check", "tests", **request)
    assert list(results) == ["check"]
    assert results["check"].outcome == "refused"
    return results["check"].sentence


STATE = ("keys/private.pem", "ledger.db", "online.db", "deployment.json", "releases/active.json", "lake/x.parquet")


@pytest.mark.slow
def test_the_template_passes_every_step_confined_and_nothing_of_it_is_read_or_changed(release: Release) -> None:
    for name in STATE:
        path = release.home / ".everfit" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("no file of its kind")
    files = {path: path.read_bytes() for path in release.tree.parents[1].rglob("*") if path.is_file()}
    results = release.tried(*TRIAL_STEPS, confined=True)
    assert {result.outcome for result in results.values()} == {"passed"}
    assert list(results) == list(TRIAL_STEPS)
    assert not [problem for step in results.values() for problem in step.problems if problem.severity == "error"]
    assert results["tests"].sentence == "4 tests passed."
    assert "gates: 13 passed, 2 skipped; it serves on the float64 matrix as treelite" in results["training"].sentence
    assert results["features"].sentence == "Features were computed: 8 of demand on 2,160 events."
    now = {path: path.read_bytes() for path in release.tree.parents[1].rglob("*") if path.is_file()}
    assert {path: text for path, text in now.items() if not path.is_relative_to(release.folder)} == files


@pytest.mark.slow
def test_all_steps_take_a_few_seconds_of_a_processor(release: Release) -> None:
    before = getrusage(RUSAGE_CHILDREN)
    release.tried(*TRIAL_STEPS)
    after = getrusage(RUSAGE_CHILDREN)
    # 10 s on the machine that it was measured on; that others use it as well makes it slower, too.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 20


def test_syntax_errors_are_refused_with_file_and_line_and_all_at_once(release: Release) -> None:
    release.edit("def train(X, y, learning_rate, max_leaf_nodes, categorical, seed):", "def train(X, y)")
    release.add("def test_more(:\n", file="tests/test_more.py")
    sentence = refused(release)
    assert "project.py:67: it must be valid Python: expected ':', but got def train(X, y)." in sentence
    assert "tests/test_more.py:1: it must be valid Python" in sentence


def test_a_library_that_is_missing_is_refused_with_the_remedy(release: Release) -> None:
    release.edit("import polars as pl\n", "import polars as pl\nimport nowhere.at_all\n")
    sentence = refused(release)
    assert sentence.startswith("project.py:8: the project's module could not be imported: ModuleNotFoundError")
    assert "uv add nowhere" in sentence


def test_names_that_nothing_defines_are_refused_before_the_code_that_uses_them_runs(release: Release) -> None:
    release.edit("random_state=seed", "random_state=sead")
    release.add(
        "def unused():\n    global late\n    late = 1\n"
        "    try:\n        return missing\n    except NameError:\n        return len([x for x in str(late)])\n"
    )
    assert "a name must be defined or imported before it is used, but got sead" in refused(release)


def test_a_column_that_the_source_no_longer_has_is_refused(release: Release) -> None:
    release.edit(
        'request=["shop", "opens_at", "price", "promotion"]', 'request=["shop", "opens_at", "prize", "promotion"]'
    )
    release.edit('features=["shop", "price",', 'features=["shop", "prize",')
    assert refused(release) == "model demand: the column must exist in the source, but got prize. Did you mean 'price'?"


def test_the_label_as_a_request_field_is_refused(release: Release) -> None:
    release.edit('"price", "promotion"]', '"price", "promotion", "sold"]')
    assert "model demand, request: the label must not be a request field, but got sold" in refused(release)


def test_wrong_settings_are_refused_also_those_that_a_release_does_not_bring(release: Release) -> None:
    release.edit("port = 8080", "prot = 1", file="everfit.toml")
    assert "[serving] prot: a setting must be one of those that exist" in refused(release)


def test_a_model_that_serves_cannot_vanish(release: Release) -> None:
    sentence = refused(release, served=("demand", "demands"))
    assert "model demands: a model with a version that serves must stay defined, but got demand" in sentence
    assert "Did you mean 'demand'?" in sentence


def test_a_module_that_ends_the_process_is_refused(release: Release) -> None:
    release.add("raise SystemExit(0)\n")
    results = release.tried("check", "tests")
    assert list(results) == ["check"]
    assert results["check"].sentence == "It raised SystemExit: 0 at project.py line 80."


def write_tests(release: Release, text: str) -> None:
    (release.tree / "tests" / "test_project.py").write_text(text)


def outcome_of_tests(release: Release) -> TrialResult:
    return release.tried_here("tests", "data")["tests"]


def test_failing_tests_are_named_with_the_first_line_of_their_assertion(release: Release) -> None:
    write_tests(
        release,
        "def test_fine():\n    import project\n\n\ndef test_sum():\n    assert [1, 2] == [1, 3]\n\n\n"
        "class TestMore:\n    def test_raises(self):\n        raise ValueError('no flour\\nat all')\n",
    )
    result = outcome_of_tests(release)
    assert result.outcome == "refused"
    assert result.sentence.startswith("2 of 3 tests failed: ")
    found = {test.test: test.reason for test in result.failed_tests}
    assert found == {
        "tests/test_project.py::test_sum": "assert [1, 2] == [1, 3]",
        "tests/test_project.py::TestMore::test_raises": "ValueError: no flour",
    }
    for test, reason in found.items():
        assert f"{test} ({reason})" in result.sentence


def test_many_failing_tests_are_counted(release: Release) -> None:
    write_tests(release, "".join(f"def test_{number}():\n    assert {number} < 0\n" for number in range(7)))
    result = outcome_of_tests(release)
    assert len(result.failed_tests) == 7
    assert result.sentence.count("::") == 5
    assert result.sentence.endswith("; and 2 more.")


def test_tests_that_cannot_be_collected_are_refused(release: Release) -> None:
    write_tests(release, "import nowhere\n")
    release.home.joinpath("conftest.py").write_text("raise OSError('of another project')\n")
    result = outcome_of_tests(release)
    assert result.outcome == "refused"
    assert result.failed_tests[0].test == "tests/test_project.py"
    assert "ModuleNotFoundError: No module named 'nowhere'" in result.sentence
    release.add("raise OSError('no flour')\n", file="conftest.py")
    result = outcome_of_tests(release)
    assert (result.outcome, result.failed_tests) == ("refused", ())
    assert result.sentence.startswith("pytest ended with exit code 4")
    assert "OSError: no flour" in result.sentence


def test_tests_that_end_their_process_are_refused(release: Release) -> None:
    write_tests(release, "import os\n\n\ndef test_it():\n    os.abort()\n")
    result = outcome_of_tests(release)
    assert result.outcome == "refused"
    assert result.sentence.startswith("pytest ended with exit code -6")


def test_tests_that_are_killed_from_outside_are_no_verdict(release: Release) -> None:
    """As by a machine short of memory: the process ends likewise, so that the step is tried again."""
    write_tests(release, "import os\n\n\ndef test_memory():\n    os.kill(os.getpid(), 9)\n")
    with pytest.raises(ProcessKilledError, match="signal 9"):
        release.tried("tests")
    assert release.results("tests") == {}


def test_the_projects_own_configuration_of_pytest_counts(release: Release) -> None:
    write_tests(release, "def test_it():\n    assert False\n")
    release.add('[tool.pytest.ini_options]\naddopts = "-k nothing"\n', file="pyproject.toml")
    result = outcome_of_tests(release)
    assert (result.outcome, result.sentence) == ("skipped", "The project has no tests: pytest collected none.")


def test_without_tests_the_step_is_skipped_and_says_so(release: Release) -> None:
    write_tests(release, "")
    assert outcome_of_tests(release).outcome == "skipped"
    release.tree.joinpath("tests", "test_project.py").unlink()
    release.tree.joinpath("tests").rmdir()
    result = outcome_of_tests(release)
    assert (result.outcome, result.sentence) == ("skipped", "The project has no tests: there is no file test_*.py.")
