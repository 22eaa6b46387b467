from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import pytest

from tfleet.client.commands.output import OutputFormat, Screen, form

if TYPE_CHECKING:
    from pathlib import Path

    from tests.client.conftest import Command, ScriptedFleet


def test_json_is_json_wherever_it_goes() -> None:
    assert form(json=True) is OutputFormat.JSON


@pytest.mark.parametrize(("terminal", "expected"), [(True, OutputFormat.TABLE), (False, OutputFormat.TSV)])
def test_the_form_fits_standard_output(
    monkeypatch: pytest.MonkeyPatch, terminal: bool, expected: OutputFormat
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: terminal)
    assert form(json=False) is expected


def test_messages_are_one_line_on_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    with Screen(OutputFormat.TSV, bar=False, total=None) as screen:
        screen.say("[bold]two\nlines " + "x" * 200)
    assert capsys.readouterr() == ("", r"[bold]two\nlines " + "x" * 200 + "\n")


def test_a_terminal_gets_a_table_and_a_progress_bar(
    fleet: ScriptedFleet, classify: Command, photos: list[Path]
) -> None:
    screen = classify.on_a_terminal("--proxy", fleet.server().url, photos[0].parent)
    assert screen.count("75.0%") == len(photos) == 4
    assert "classifying" in screen
    assert "4 files: 4 classified, 0 failed in" in screen


def test_one_file_needs_no_bar(fleet: ScriptedFleet, classify: Command, photo: Path) -> None:
    screen = classify.on_a_terminal("--proxy", fleet.server().url, photo)
    assert "75.0%" in screen
    assert "classifying" not in screen
    assert "1 file" not in screen


def test_the_bar_shows_while_both_ends_are_pipes(
    fleet: ScriptedFleet, classify: Command, photo: Path
) -> None:
    """As in `find | tfleet classify - > labels.tsv`: only standard error is a terminal."""
    screen = classify.on_a_terminal(
        "--proxy", fleet.server().url, "-", "missing.jpg", stdin=os.fsencode(photo) + b"\n", stdout=os.devnull
    )
    assert "classifying" in screen
    assert "missing.jpg: no such file or directory" in screen
    assert "tabby" not in screen
    assert "2 files: 1 classified, 1 failed in" in screen
