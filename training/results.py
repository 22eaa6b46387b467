"""What a run of `tfleet retrain` found: `report.json` and the report's page are made of it. No I/O.

Paths are relative to the folder of photographs, with `/`. Paths and labels come from strangers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any, Final

_VERSION: Final = 1


class Split(StrEnum):
    """What a photograph is used for."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


@dataclass(frozen=True, slots=True)
class Photo:
    """A photograph that the run has used. `label` is the name of its folder; `sha256` is of its content."""

    path: str
    label: str
    sha256: str
    bytes: int
    split: Split


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A file that the run has not used. `reason` is one line."""

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Share:
    """`right` of `total`, with the 95 % interval that Wilson gives, from 0 to 1. Empty if `total` is 0."""

    right: int
    total: int
    low: float = 0.0
    high: float = 1.0

    @property
    def value(self) -> float | None:
        """From 0 to 1; None if there is nothing to divide by."""
        return self.right / self.total if self.total else None


@dataclass(frozen=True, slots=True)
class ClassResult:
    """A class: its photographs by split, and how many of its test photographs were recognized."""

    label: str
    train: int
    validation: int
    test: int
    recall: Share


@dataclass(frozen=True, slots=True)
class Confusion:
    """`count` test photographs of `label` were taken for `predicted`; right answers have both alike."""

    label: str
    predicted: str
    count: int


@dataclass(frozen=True, slots=True)
class Mistake:
    """A test photograph with a wrong answer. Probabilities are from 0 to 1."""

    path: str
    label: str
    predicted: str
    probability: float
    label_probability: float


@dataclass(frozen=True, slots=True)
class Confident:
    """With --min-confidence: how many test photographs get an answer, and how many of these are right."""

    min_confidence: float
    answered: Share
    right: Share


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How the model does on the test photographs, which training has not seen.

    `majority` is what the answer "always the largest class" would get. `confusions` has no pair twice, and
    none with a count of 0. `mistakes` are the most confident ones, of `mistakes_total`. `untested` are the
    classes without a test photograph.
    """

    accuracy: Share
    majority: Share
    classes: Sequence[ClassResult]
    confusions: Sequence[Confusion]
    mistakes: Sequence[Mistake]
    mistakes_total: int
    untested: Sequence[str]
    confident: Confident | None = None


@dataclass(frozen=True, slots=True)
class Mislabel:
    """A photograph that models trained without it take for another class. Probabilities are from 0 to 1."""

    path: str
    label: str
    suggested: str
    probability: float
    label_probability: float


@dataclass(frozen=True, slots=True)
class Mislabels:
    """The likeliest first, of `total`. `unjudged` photographs are in classes too small to leave one out."""

    listed: Sequence[Mislabel]
    total: int
    judged: int
    unjudged: int


@dataclass(frozen=True, slots=True)
class Copies:
    """One photograph in several files.

    `exact` says that the files have the same content; else they look alike: another size, or a crop.
    """

    photos: Sequence[Photo]
    exact: bool

    @property
    def across_classes(self) -> bool:
        """They cannot all have the right label."""
        return len({each.label for each in self.photos}) > 1

    @property
    def across_splits(self) -> bool:
        """The test has what training has seen, too: its figures are too good."""
        in_test = [each.split is Split.TEST for each in self.photos]
        return any(in_test) and not all(in_test)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """Groups of copies, those across classes first, then those across splits. `total` counts all groups."""

    listed: Sequence[Copies]
    total: int


@dataclass(frozen=True, slots=True)
class TuningLosses:
    """The losses on validation of a head that only training photographs have trained, and of a tuned network.

    `doubt` is the standard error of their difference. One photograph alone has none.
    """

    head: float
    tuned: float
    doubt: float | None

    @property
    def better(self) -> bool:
        """Whether the network is better by more than chance easily makes it.

        Of two models the simpler one is taken where the losses differ by no more than a standard error
        (Breiman et al., Classification and Regression Trees, 1984).
        """
        return self.doubt is not None and self.head - self.tuned > self.doubt


@dataclass(frozen=True, slots=True)
class FineTuning:
    """What training the network further has brought, in `epochs` epochs of which `best` was the best.

    `kept` says that the model is the tuned one, since it is better on validation. The accuracies are those on
    the test, which has no say in it: of the model with the head alone, and of the tuned one.
    """

    kept: bool
    epochs: int
    best: int
    losses: TuningLosses
    head_accuracy: Share
    accuracy: Share
    seconds: float


@dataclass(frozen=True, slots=True)
class RunSettings:
    """What the model was made with.

    `digest` is of the backbone's graph, `l2` the weight of the penalty that was chosen.
    """

    backbone: str
    digest: str
    preprocessing: str
    l2: float
    min_confidence: float | None = None
    group_by: str | None = None


@dataclass(frozen=True, slots=True)
class RunTimes:
    """What the run took. `new_vectors` are those that no earlier run had computed."""

    seconds: float
    vectors_seconds: float
    head_seconds: float
    new_vectors: int


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Which run it was. `name` and `version` are those of the model; `created` is as ISO 8601 has it."""

    name: str
    version: int
    created: str
    tfleet: str
    settings: RunSettings
    times: RunTimes


@dataclass(frozen=True, slots=True)
class Results:
    """All of a run.

    `mislabels` and `duplicates` are None where the run did not look for them. `warnings` are for people.
    """

    run: RunFacts
    evaluation: Evaluation
    mislabels: Mislabels | None
    duplicates: Duplicates | None
    photos: Sequence[Photo] = field(repr=False)
    passed_over: Sequence[PassedOver] = field(repr=False, default=())
    warnings: Sequence[str] = ()
    fine_tuning: FineTuning | None = None

    def document(self) -> dict[str, Any]:
        """As `report.json` has it."""
        return {"report": _VERSION, **asdict(self)}
