"""The commands of an example's README, and what they are shown to print."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[2]
_BLOCK: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
_COMMAND: Final = re.compile(r"^\$ (.*\n(?: {4}.*\n)*)((?:(?!\$ ).*\n)*)", re.MULTILINE)
_TOLERANCE: Final = 0.1
"""Of numbers from 0 to 1: CPUs round differently, and the training makes more of it."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command line, and the output that the page shows; it may show none."""

    line: str
    shown: str


class Readme:
    """A page of examples/."""

    def __init__(self, name: str) -> None:
        text = (ROOT / "examples" / name / "README.md").read_text(encoding="utf-8")
        self._blocks = _BLOCK.findall(text)

    @property
    def train(self) -> str:
        """The command that trains the model."""
        return self._setup()[0]

    @property
    def look(self) -> list[str]:
        """The commands between the training and the start."""
        return self._setup()[1:-1]

    @property
    def up(self) -> str:
        """The command that starts the fleet."""
        return self._setup()[-1]

    def _setup(self) -> list[str]:
        ((text,),) = [[body] for language, body in self._blocks if language == "bash"]
        lines: list[str] = text.splitlines()
        assert lines[0].startswith("python examples/")
        assert lines[-1].startswith("tfleet up --model models/")
        return lines

    @property
    def commands(self) -> list[Command]:
        """Those to give while the fleet runs."""
        consoles = [body for language, body in self._blocks if language == "console"]
        commands = [Command(*found) for body in consoles for found in _COMMAND.findall(body)]
        assert len(commands) == sum(f"\n{body}".count("\n$ ") for body in consoles) > 0
        return commands

    @property
    def program(self) -> str:
        """The program in Python."""
        (found,) = [body for language, body in self._blocks if language == "python"]
        return str(found)


def check_shown(shown: str, printed: str) -> None:
    """What is printed has to be what the page shows: the same text, or the same JSON but for rounding."""
    if shown.startswith(("{", "[")):
        _check_alike(json.loads(shown), json.loads(printed))
    else:
        assert _without_numbers(shown) in _without_numbers(printed)


def _check_alike(shown: Any, found: Any) -> None:
    if isinstance(shown, dict):
        assert list(shown) == list(found)
        _check_alike(list(shown.values()), list(found.values()))
    elif isinstance(shown, list):
        assert len(shown) == len(found), (shown, found)
        for one, other in zip(shown, found, strict=True):
            _check_alike(one, other)
    elif isinstance(shown, float):
        assert found == pytest.approx(shown, abs=_TOLERANCE)
    else:
        assert found == shown


def _without_numbers(text: str) -> str:
    """Another TensorFlow may number the operations of a graph otherwise."""
    return re.sub(r"_\d+:0", ":0", text)
