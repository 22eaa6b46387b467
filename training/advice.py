"""What to do next with a retrained model: the lines at the top of its report. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from tfleet.training.markup import Markup, element, joined, name
from tfleet.training.results import Confusion, Evaluation, Results, Split

_MOST_NAMED: Final = 6
_WIDE: Final = 0.1  # of the interval: no two models that differ by less can be told apart
_OFTEN: Final = 0.2  # of a class's test photographs: taken for one and the same other class
_FEW_TESTS: Final = 3
_MANY: Final = 0.2  # of the photographs: nobody gives a wrong label so often


@dataclass(frozen=True, slots=True)
class Advice:
    """`what` is to be done, and `why`."""

    what: Markup
    why: Markup


def advice(results: Results) -> list[Advice]:
    """The most useful first; there is always one."""
    return [
        *_of_labels(results),
        *_of_copies(results),
        *_of_figures(results.evaluation),
        *_of_files(results),
    ] or [
        Advice(
            joined("Serve the model."),
            joined("Nothing here needs your attention first."),
        )
    ]


def _of_labels(results: Results) -> Iterator[Advice]:
    found = results.mislabels
    if found is None or not found.total:
        return
    if found.total > _MANY * found.judged:
        yield Advice(
            joined(f"Look at the first of the labels below that may be wrong ({found.total:,})."),
            joined(
                "Most of so many will be right: the model can hardly tell the classes apart. More "
                "photographs do more."
            ),
        )
    else:
        yield Advice(
            joined(f"Look at the labels below that may be wrong ({found.total:,})."),
            joined(
                "Move the photographs whose label is wrong into the folder of their class, and run the same "
                "command again: it makes vectors of new photographs only."
            ),
        )


def _of_copies(results: Results) -> Iterator[Advice]:
    if results.duplicates is None:
        return
    across = sum(1 for each in results.duplicates.listed if each.across_classes)
    if across:
        yield Advice(
            joined(f"Leave pictures that stand in several classes in one of them ({across:,})."),
            joined("One of the labels is wrong, and the model learns both."),
        )
    seen = sum(1 for each in results.duplicates.listed if each.across_splits)
    if seen:
        yield Advice(
            joined(
                f"Remove copies between training and test ({seen:,}), or keep what belongs together by ",
                element("code", "--group-by"),
                ".",
            ),
            joined("The test has pictures that training has seen, so the accuracy above is too good."),
        )
    again = sum(
        1 for each in results.duplicates.listed if all(photo.split is Split.TEST for photo in each.photos)
    )
    if again:
        yield Advice(
            joined(f"Remove copies within the test ({again:,})."),
            joined("Each picture counts as often as it is there, so the accuracy above is less certain."),
        )


def _of_figures(evaluation: Evaluation) -> Iterator[Advice]:
    if evaluation.untested:
        yield Advice(
            joined("Do not rely on the answers ", _names(evaluation.untested), " yet."),
            joined("No photograph of these classes was in the test. With more photographs some will be."),
        )
    low, high = evaluation.accuracy.low, evaluation.accuracy.high
    if evaluation.majority.total and low <= (evaluation.majority.value or 0):
        yield Advice(
            joined("Check that the folders hold what their names say."),
            joined(
                "It is not certain that the model does better than one that always gives the largest class."
            ),
        )
    elif evaluation.accuracy.total and high - low > _WIDE:
        yield Advice(
            joined("Add photographs before you compare this model with another."),
            joined(f"A test of {evaluation.accuracy.total:,} photographs is too small for a finer figure."),
        )
    for each in _often_confused(evaluation):
        yield Advice(
            joined(
                "Add photographs that show how ", name(each.label), " and ", name(each.predicted), " differ."
            ),
            joined(
                f"{each.count} of the test photographs of ",
                name(each.label),
                " were taken for ",
                name(each.predicted),
            ),
        )


def _often_confused(evaluation: Evaluation) -> list[Confusion]:
    """The most frequent of those pairs of classes that are confused often."""
    tests = {each.label: each.recall.total for each in evaluation.classes}
    found = [
        each
        for each in evaluation.confusions
        if each.label != each.predicted and each.count >= max(_FEW_TESTS, _OFTEN * tests[each.label])
    ]
    return found[:2]


def _of_files(results: Results) -> Iterator[Advice]:
    if results.passed_over:
        yield Advice(
            joined(f"See below why files were passed over ({len(results.passed_over):,})."),
            joined("The model knows nothing of them."),
        )


def _names(names: Sequence[str]) -> Markup:
    listed = [joined(", " if index else "", name(each)) for index, each in enumerate(names[:_MOST_NAMED])]
    if len(names) > _MOST_NAMED:
        listed.append(joined(f" and {len(names) - _MOST_NAMED:,} more"))
    return joined(*listed)
