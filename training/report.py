"""What a run of `tfleet retrain` has found, for people and programs: `report.html` and `report.json`.

The page is one file that needs no other. Names of classes and files come from strangers: see `markup`. The
page has no script, and its policy lets a browser load nothing but the pictures in it.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image

from tfleet.training import report_sections as sections
from tfleet.training.advice import advice
from tfleet.training.markup import Markup, element, joined, name
from tfleet.training.report_sections import Pictures, percent
from tfleet.training.results import FineTuning, Results, Share

PAGE: Final = "report.html"
DOCUMENT: Final = "report.json"
PICTURE_SIDE: Final = 112
"""Pixels of a side of the pictures in the page."""
_QUALITY: Final = 70
_POLICY: Final = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_MINUTE_S: Final = 60

LookAt = Callable[[str], npt.NDArray[np.uint8] | None]
"""Gives a photograph by its path as `uint8[height, width, 3]`, at most PICTURE_SIDE high and wide, or None
where it can't be shown."""


def write_report(results: Results, look_at: LookAt, folder: Path) -> None:
    """Write both files. Raises OSError."""
    pictures = {}
    for path in dict.fromkeys(sections.wanted_pictures(results)):
        pixels = look_at(path)
        if pixels is not None:
            pictures[path] = data_url(pixels)
    # A name that is no text is written as what it would be in the JSON of most others: \udc80.
    document = json.dumps(results.document(), ensure_ascii=False, indent=1, allow_nan=False)
    (folder / DOCUMENT).write_text(document, encoding="utf-8", errors="backslashreplace")
    (folder / PAGE).write_text(report_page(results, pictures), encoding="utf-8")


def data_url(pixels: npt.NDArray[np.uint8]) -> str:
    """The address of a small JPEG of `uint8[height, width, 3]`."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=_QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def report_page(results: Results, pictures: Pictures) -> str:
    """The page. Photographs that `pictures` has no picture of are shown by their names alone."""
    style = files("tfleet.training").joinpath("report.css").read_text(encoding="utf-8")
    evaluation = results.evaluation
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("title", f"{results.run.name} {results.run.version}"),
        element("style", Markup(style)),
    )
    main = element(
        "main",
        _head(results),
        _facts(results),
        _next(results),
        sections.classes(evaluation),
        sections.confusions(evaluation),
        sections.mistakes(evaluation, pictures),
        sections.mislabels(results, pictures),
        sections.copies(results, pictures),
        sections.passed_over(results.passed_over),
        _run(results),
    )
    return f"<!doctype html>\n{element('html', head, element('body', main), lang='en')}\n"


def _head(results: Results) -> Markup:
    run = results.run
    return joined(
        element("h1", name(run.name), f", version {run.version}"),
        element("p", f"Made by tfleet {run.tfleet} retrain at {run.created}", class_="quiet"),
    )


def _facts(results: Results) -> Markup:
    evaluation = results.evaluation
    accuracy = evaluation.accuracy
    tiles = [
        _tile(percent(accuracy), _accuracy_note(accuracy)),
        _tile(f"{len(results.photos):,}", f"photographs of {len(evaluation.classes):,} classes"),
    ]
    if accuracy.total:
        tiles.insert(
            1, _tile(percent(evaluation.majority), "would be right by always giving the largest class")
        )
    if (tuning := results.fine_tuning) is not None:
        other = tuning.head_accuracy if tuning.kept else tuning.accuracy
        tiles.insert(1, _tile(percent(other), _other_note(tuning)))
    if (confident := evaluation.confident) is not None:
        least = f"{confident.min_confidence:g}"
        tiles.append(
            _tile(
                percent(confident.right),
                f"of the answers with at least {least} are right; {percent(confident.answered)} get one, "
                "and others are unknown",
            )
        )
    return element("div", *tiles, class_="facts")


def _other_note(tuning: FineTuning) -> str:
    losses = f"loss on validation: {tuning.losses.tuned:.3f} with it, {tuning.losses.head:.3f} without"
    if tuning.kept:
        return f"of them would be right without fine-tuning ({losses})"
    return f"of them would be right with the fine-tuned network, which was not kept ({losses})"


def _accuracy_note(accuracy: Share) -> str:
    if not accuracy.total:
        return "accuracy: the test has no photographs"
    low, high = 100 * accuracy.low, 100 * accuracy.high
    return (
        f"of {accuracy.total:,} test photographs are right: the accuracy is between {low:.1f} and "
        f"{high:.1f} %, with 95 % certainty"
    )


def _tile(figure: str, note: str) -> Markup:
    return element("div", element("b", figure), element("span", note))


def _next(results: Results) -> Markup:
    items = [element("li", each.what, " ", element("span", each.why)) for each in advice(results)]
    serve = element(
        "p",
        "Serve it with ",
        element("code", "tfleet up --models FOLDER"),
        ", the folder that has ",
        element("code", f"{results.run.name}/{results.run.version}"),
        ". Where an earlier version serves, ",
        element("code", f"tfleet rollout {results.run.name} {results.run.version}"),
        " gives this one a share of the requests first.",
    )
    warnings = [element("p", f"{each[:1].upper()}{each[1:]}.") for each in results.warnings]
    return joined(element("h2", "What to do next"), *warnings, element("ol", *items, class_="next"), serve)


def _run(results: Results) -> Markup:
    run = results.run
    settings, times, tuning = run.settings, run.times, results.fine_tuning
    rows = {
        "Backbone": settings.backbone,
        "Its digest": settings.digest,
        "Preprocessing": settings.preprocessing,
        "L2 penalty": f"{settings.l2:g}",
        "Least confidence": "" if settings.min_confidence is None else f"{settings.min_confidence:g}",
        "Grouped by": settings.group_by or "",
        "Fine-tuning": ""
        if tuning is None
        else f"epoch {tuning.best} of {tuning.epochs} was the best; {_duration(tuning.seconds)}",
        "Time": f"{_duration(times.seconds)}; vectors {_duration(times.vectors_seconds)}, "
        f"head {_duration(times.head_seconds)}",
        "New vectors": f"{times.new_vectors:,}",
    }
    pairs = [joined(element("dt", term), element("dd", value)) for term, value in rows.items() if value]
    return joined(element("h2", "How it was made"), element("dl", *pairs))


def _duration(seconds: float) -> str:
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    return f"{int(seconds // _MINUTE_S)} min {round(seconds % _MINUTE_S)} s"
