from pathlib import Path

import pytest

from tests.support.environment import users_environment
from tfleet.discovery.data_folder import data_folder


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("/var/state", "/var/state/tfleet/registry-12481"),
        ("", "{home}/.local/state/tfleet/registry-12481"),
        ("relative", "{home}/.local/state/tfleet/registry-12481"),
    ],
)
def test_the_folder_is_where_xdg_says(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, expected: str
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", variable)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder(None, 12481) == Path(expected.format(home=tmp_path))


def test_any_free_port_has_no_folder() -> None:
    assert data_folder(None, 0) is None


def test_a_user_without_a_home_has_no_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    assert data_folder(None, 1) is None


@pytest.mark.parametrize("port", [0, 1])
def test_the_option_wins(port: int) -> None:
    assert data_folder("my data", port) == Path("my data")
    assert data_folder("memory", port) is None


def test_programs_of_tests_leave_the_home_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    here, first, second = data_folder(None, 1), users_environment(), users_environment()
    assert here
    assert not here.is_relative_to(Path.home() / ".local")
    assert len({str(here), first["XDG_STATE_HOME"], second["XDG_STATE_HOME"]}) == 3
    for environment in (first, second):
        assert Path(environment["XDG_STATE_HOME"]).parent == here.parents[1]
