from __future__ import annotations

import pytest

from everfit.core.errors import SettingsError
from everfit.core.settings import resolve_settings


def test_a_flag_beats_a_variable_beats_the_file_beats_the_default() -> None:
    file = {"serving": {"port": 9001, "host": "127.0.0.2"}}
    variables = {"EVERFIT_SERVING_PORT": "9002", "HOME": "/root"}
    assert resolve_settings({}, {}).serving.port == 8080
    assert resolve_settings(file, {}).serving.port == 9001
    assert resolve_settings(file, variables).serving.port == 9002
    assert resolve_settings(file, variables, {"serving.port": 9003}).serving.port == 9003
    assert resolve_settings(file, variables).serving.host == "127.0.0.2"


@pytest.mark.parametrize(
    ("file", "variables", "message"),
    [
        ({"servin": {}}, {}, "Did you mean 'serving'"),
        ({"serving": {"prot": 1}}, {}, "Did you mean 'port'"),
        ({"serving": 3}, {}, "must be a table"),
        ({"serving": {"port": "high"}}, {}, r"serving.port"),
        ({"serving": {"port": 70_000}}, {}, r"65535"),
        ({"training": {"holdout_share": 0}}, {}, r"holdout_share"),
        ({"project": {"name": "Has Spaces"}}, {}, r"project.name"),
        ({}, {"EVERFIT_SERVING_PROT": "1"}, "Did you mean 'EVERFIT_SERVING_PORT'"),
        ({}, {"EVERFIT_SERVING_PORT": "many"}, r"serving.port"),
    ],
)
def test_what_is_unknown_or_unusable_is_refused_by_name(
    file: dict[str, object], variables: dict[str, str], message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        resolve_settings(file, variables)


def test_paths_may_have_any_name() -> None:
    settings = resolve_settings({"paths": {"data": "a"}}, {"EVERFIT_PATHS_DATA": "b", "EVERFIT_PATHS_MORE": "c"})
    assert settings.paths == {"data": "b", "more": "c"}
