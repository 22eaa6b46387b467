from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from rich.console import Console, RenderableType

from tfleet.client import BadImageError, Classification, Outcome, Prediction, Timing, WorkerStatus
from tfleet.client.commands.output import (
    OutputFormat,
    Screen,
    classification_table,
    json_line,
    output_format,
    status_table,
    tsv_lines,
)
from tfleet.client.text import count

CAT = Classification(
    (Prediction("tabby [cat]", 0.75), Prediction("tiger\tcat", 0.125)), "w1", "m/1", "r1", Timing(), 12.34
)


def shown(renderable: RenderableType, width: int = 80) -> str:
    console = Console(width=width, color_system=None, highlight=False)
    with console.capture() as capture:
        console.print(renderable)
    return capture.get()


def test_json_has_a_line_with_provenance_per_image() -> None:
    line = json_line(Outcome("a\nb.jpg", classification=CAT))
    assert "\n" not in line
    assert json.loads(line) == {
        "file": "a\nb.jpg",
        "predictions": [
            {"label": "tabby [cat]", "probability": 0.75},
            {"label": "tiger\tcat", "probability": 0.125},
        ],
        "worker": "w1",
        "model": "m/1",
        "request_id": "r1",
        "ms": 12.3,
    }


def test_a_failure_as_json_has_reason_and_status() -> None:
    line = json_line(Outcome("\udcff.txt", error=BadImageError("no image", status=400, request_id="r")))
    assert json.loads(line) == {
        "file": "\udcff.txt",
        "error": "no image",
        "status": 400,
        "request_id": "r",
    }
    assert line.isascii()


def test_tab_separated_lines_have_three_fields_each() -> None:
    assert tsv_lines("a b.jpg", CAT) == "a b.jpg\ttabby [cat]\t0.750000\na b.jpg\ttiger\\tcat\t0.125000"


def test_the_table_shows_labels_as_they_are_with_a_bar() -> None:
    text = shown(classification_table("a\x1b.jpg", CAT))
    assert text.splitlines()[0].rstrip() == r"a\x1b.jpg  12 ms"
    assert "75.0%  " + "█" * 15 in text
    assert "tabby [cat]" in text
    assert r"tiger\tcat" in text


def test_the_status_table_has_a_row_a_worker() -> None:
    ready = WorkerStatus("w1", "10.0.0.1:80", "lite0", "1", "ready", 3)
    ejected = WorkerStatus("w2", "10.0.0.2:80", "lite0", "1", "ejected", 0, "[refused]\nconnection")
    heading, first, second = shown(status_table([ready, ejected], 200), width=200).splitlines()
    assert heading.split("  ")[0] == "id"
    assert first.split() == ["w1", "10.0.0.1:80", "lite0/1", "ready", "3"]
    assert second.split() == ["w2", "10.0.0.2:80", "lite0/1", "ejected", "0", r"[refused]\nconnection"]


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_shows_whole_words(width: int) -> None:
    error = "answered 5 times in a row with an error, the last was 500"
    ready = WorkerStatus("tfleet-127.0.0.1-41873-9f86d081", "127.0.0.1:41873", "lite0", "1", "ready", 3)
    ejected = WorkerStatus(
        "tfleet-127.0.0.1-9873-d0819f86", "127.0.0.1:9873", "lite0", "1", "ejected", 0, error
    )
    lines = [line.rstrip() for line in shown(status_table([ready, ejected], width), width).splitlines()]
    assert lines == [
        "tfleet-127.0.0.1-41873-9f86d081  ready    3 in flight",
        "  127.0.0.1:41873  lite0/1",
        "tfleet-127.0.0.1-9873-d0819f86   ejected  0 in flight",
        "  127.0.0.1:9873   lite0/1",
        f"  {error}",
    ]


def test_states_are_coloured_and_unknown_ones_are_plain() -> None:
    console = Console(width=100, force_terminal=True, color_system="standard")
    states = ("ready", "resting")
    with console.capture() as capture:
        console.print(status_table([WorkerStatus(state, "a:1", state=state) for state in states], 100))
    assert "\x1b[32mready" in capture.get()
    assert "mresting" not in capture.get()


@pytest.mark.parametrize(("number", "text"), [(0, "0 files"), (1, "1 file"), (2, "2 files")])
def test_a_count_agrees_with_its_noun(number: int, text: str) -> None:
    assert count(number, "file") == text


if TYPE_CHECKING:
    from pathlib import Path

    from tests.client.conftest import Command, ScriptedFleet


def test_json_output_does_not_depend_on_a_terminal() -> None:
    assert output_format(json=True, terminal=True) is OutputFormat.JSON


@pytest.mark.parametrize(("terminal", "expected"), [(True, OutputFormat.TABLE), (False, OutputFormat.TSV)])
def test_the_format_depends_on_a_terminal(terminal: bool, expected: OutputFormat) -> None:
    assert output_format(json=False, terminal=terminal) is expected


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
