"""The sections of a run's report that have pictures and tables. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from tfleet.training.markup import Markup, element, joined, name
from tfleet.training.results import ClassResult, Copies, Evaluation, PassedOver, Results, Share

Pictures = Mapping[str, str]
"""The address of a small picture, as `data:` has it, by the path of its photograph."""

MOST_MISTAKES: Final = 24
MOST_MISLABELS: Final = 36
MOST_COPIES: Final = 20  # groups
MOST_OF_A_GROUP: Final = 6
_MOST_CLASSES: Final = 40  # shown at once, and in a matrix 20
_LARGEST_MATRIX: Final = 20
_MOST_PAIRS: Final = 30
_MOST_FILES: Final = 200
_ALL: Final = 100.0  # percent


def percent(share: Share) -> str:
    """Such as `87 %`; 100 only if all are right, and 0 only if none is."""
    if share.value is None:
        return "unknown"
    value, digits = share.value * _ALL, 0 if share.total < 1000 else 1  # noqa: PLR2004
    if 0 < share.right < share.total:
        step = 10.0**-digits
        value = min(max(round(value, digits), step), _ALL - step)
    return f"{value:.{digits}f} %"


def probability(value: float) -> str:
    """Such as `0.93`; never 1.00 or 0.00 for what is not certain."""
    return f"{min(max(value, 0.001), 0.999):.3f}" if not 0.005 <= value < 0.995 else f"{value:.2f}"  # noqa: PLR2004


def classes(evaluation: Evaluation) -> Markup:
    """A row with a bar for each class, the worst first."""
    ranked = sorted(
        evaluation.classes,
        key=lambda each: (each.recall.total == 0, each.recall.value or 0.0, each.recall.high, each.label),
    )
    shown, more = ranked[:_MOST_CLASSES], ranked[_MOST_CLASSES:]
    return joined(
        element("h2", "Classes"),
        element(
            "p",
            "How many of the test photographs of each class the model knows, the worst first. "
            "The thin line is the range in which the true figure lies, with 95 % certainty.",
            class_="quiet",
        ),
        _class_table(shown),
        element("details", element("summary", f"{len(more):,} more classes"), _class_table(more))
        if more
        else "",
    )


def _class_table(shown: Sequence[ClassResult]) -> Markup:
    head = element(
        "tr",
        element("th", "Class"),
        element("th", "Known in the test"),
        element("th", ""),
        element("th", "Photographs", class_="number"),
    )
    rows = [
        element(
            "tr",
            element("td", name(each.label)),
            element("td", _bar(each.recall)),
            element(
                "td",
                f"{each.recall.right:,} of {each.recall.total:,}"
                if each.recall.total
                else "none in the test",
                class_="number",
            ),
            element("td", f"{each.train + each.validation + each.test:,}", class_="number"),
        )
        for each in shown
    ]
    return element("table", element("thead", head), element("tbody", *rows), class_="list classes")


def _bar(share: Share) -> Markup:
    if share.value is None:
        return Markup("")
    low, width = share.low * _ALL, (share.high - share.low) * _ALL
    return element(
        "div",
        element("i", style=f"width:{share.value * _ALL:.1f}%"),
        element("u", style=f"left:{low:.1f}%;width:{width:.1f}%"),
        class_="bar",
        role="img",
        aria_label=f"{percent(share)}, between {low:.0f} and {low + width:.0f} %",
    )


def confusions(evaluation: Evaluation) -> Markup:
    """A matrix of few classes; of many the pairs that are confused most."""
    title = element("h2", "What is taken for what")
    wrong = [each for each in evaluation.confusions if each.label != each.predicted]
    if not evaluation.accuracy.total:
        return Markup("")
    if len(evaluation.classes) <= _LARGEST_MATRIX:
        note = "Test photographs: a row for each class, a column for each answer."
        return joined(title, element("p", note, class_="quiet"), _matrix(evaluation))
    if not wrong:
        return joined(title, element("p", "Nothing was confused in the test."))
    rows = [
        element(
            "tr",
            element("td", name(each.label)),
            element("td", name(each.predicted)),
            element("td", f"{each.count:,}", class_="number"),
        )
        for each in wrong[:_MOST_PAIRS]
    ]
    heads = (
        element("th", "Class"),
        element("th", "Taken for"),
        element("th", "Photographs", class_="number"),
    )
    table = element("table", element("thead", element("tr", *heads)), element("tbody", *rows), class_="list")
    more = len(wrong) - len(rows)
    return joined(
        title,
        table,
        element("p", f"and {more:,} more pairs, see report.json", class_="quiet") if more > 0 else "",
    )


def _matrix(evaluation: Evaluation) -> Markup:
    counts = {(each.label, each.predicted): each.count for each in evaluation.confusions}
    labels = [each.label for each in evaluation.classes]
    heads = [element("th", name(label), scope="col", title=label) for label in labels]
    rows = []
    for each in evaluation.classes:
        cells = []
        for label in labels:
            count = counts.get((each.label, label), 0)
            colour = "--shade" if label == each.label else "--wrong"
            share = count / each.recall.total if count else 0
            style = f"background:rgba(var({colour}),{0.12 + 0.5 * share:.2f})" if count else ""
            cells.append(element("td", f"{count:,}" if count else "", style=style))
        rows.append(element("tr", element("th", name(each.label), scope="row", title=each.label), *cells))
    head = element("thead", element("tr", element("th", ""), *heads))
    return element("div", element("table", head, element("tbody", *rows), class_="matrix"), class_="scroll")


def mistakes(evaluation: Evaluation, pictures: Pictures) -> Markup:
    """The most confident wrong answers of the test."""
    if not evaluation.mistakes:
        return Markup("")
    shown = evaluation.mistakes[:MOST_MISTAKES]
    cards = [
        _card(
            pictures,
            each.path,
            element("b", name(each.predicted), f" {probability(each.probability)}", class_="wrong"),
            element("span", "is ", name(each.label), f" {probability(each.label_probability)}"),
        )
        for each in shown
    ]
    note = (
        f"{_of(len(shown), evaluation.mistakes_total)} wrong answers in the test: what the model said, and "
        "what the label says."
    )
    return joined(
        element("h2", "Most confident mistakes"),
        element("p", note, class_="quiet"),
        element("div", *cards, class_="cards"),
    )


def mislabels(results: Results, pictures: Pictures) -> Markup:
    """Photographs whose label other photographs speak against."""
    found, title = results.mislabels, element("h2", "Labels that may be wrong")
    if found is None:
        return joined(title, element("p", "This run has not looked for them."))
    unjudged = (
        f" {found.unjudged:,} could not be judged: their class has no other photograph."
        if found.unjudged
        else ""
    )
    if not found.total:
        return joined(title, element("p", f"None among {found.judged:,} photographs.{unjudged}"))
    shown = found.listed[:MOST_MISLABELS]
    note = (
        f"{_of(len(shown), found.total)}, the likeliest first. Models that were trained without these "
        f"photographs give them another class.{unjudged}"
    )
    cards = [
        _card(
            pictures,
            each.path,
            element("b", "perhaps ", name(each.suggested), f" {probability(each.probability)}"),
            element("span", "stands in ", name(each.label), f" {probability(each.label_probability)}"),
        )
        for each in shown
    ]
    return joined(title, element("p", note, class_="quiet"), element("div", *cards, class_="cards"))


def copies(results: Results, pictures: Pictures) -> Markup:
    """Groups of files that show one picture."""
    found, title = results.duplicates, element("h2", "Copies")
    if found is None:
        return joined(title, element("p", "This run has not looked for them."))
    if not found.total:
        return joined(title, element("p", "No two files show the same picture."))
    shown = found.listed[:MOST_COPIES]
    note = (
        f"{_of(len(shown), found.total)} groups of files that show the same picture: those in several "
        "classes first, then those of which the test has some and training others."
    )
    return joined(title, element("p", note, class_="quiet"), *(_group(each, pictures) for each in shown))


def _group(group: Copies, pictures: Pictures) -> Markup:
    kind = "The same content" if group.exact else "The same picture"
    where = [
        *(["in several classes"] if group.across_classes else []),
        *(["in training and in the test"] if group.across_splits else []),
    ]
    photos = group.photos[:MOST_OF_A_GROUP]
    cards = [
        _card(pictures, each.path, element("b", name(each.label)), element("span", str(each.split)))
        for each in photos
    ]
    more = len(group.photos) - len(photos)
    return element(
        "div",
        element("p", element("b", " ".join([kind, " and ".join(where) or "in one class"]))),
        element("div", *cards, class_="cards"),
        element("p", f"and {more:,} more files, see report.json", class_="quiet") if more > 0 else "",
        class_="group",
    )


def passed_over(files: Sequence[PassedOver]) -> Markup:
    """What was not used, and why."""
    if not files:
        return Markup("")
    reasons = Counter(each.reason for each in files).most_common(_MOST_FILES)
    counted = [
        element("tr", element("td", f"{count:,}", class_="number"), element("td", reason))
        for reason, count in reasons
    ]
    listed = [
        element("tr", element("td", name(each.path)), element("td", each.reason))
        for each in files[:_MOST_FILES]
    ]
    return joined(
        element("h2", "Files passed over"),
        element("table", element("tbody", *counted), class_="list files"),
        element(
            "details",
            element("summary", f"{_of(len(listed), len(files))} files"),
            element("div", element("table", element("tbody", *listed), class_="list files"), class_="scroll"),
        ),
    )


def _card(pictures: Pictures, path: str, *lines: str) -> Markup:
    address = pictures.get(path)
    picture = (
        element("img", src=address, alt="", width="112", height="112", loading="lazy")
        if address
        else element("div", "can't be shown", class_="none")
    )
    return element("figure", picture, element("figcaption", *lines, element("span", name(path))))


def _of(shown: int, total: int) -> str:
    return f"{total:,}" if shown == total else f"{shown:,} of {total:,}"


def wanted_pictures(results: Results) -> Iterable[str]:
    """The paths of the photographs that the report shows; a bounded number, and some twice."""
    yield from (each.path for each in results.evaluation.mistakes[:MOST_MISTAKES])
    if results.mislabels is not None:
        yield from (each.path for each in results.mislabels.listed[:MOST_MISLABELS])
    if results.duplicates is not None:
        for group in results.duplicates.listed[:MOST_COPIES]:
            yield from (each.path for each in group.photos[:MOST_OF_A_GROUP])
