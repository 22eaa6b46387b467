"""A run's results as report.json has them."""

from __future__ import annotations

import json

from tests.support.retrain_results import some_results
from tfleet.training.results import Copies, Photo, Share, Split


def test_results_are_plain_json() -> None:
    document = json.loads(json.dumps(some_results().document(), allow_nan=False))
    assert document["report"] == 1
    assert document["photos"][0] == {
        "path": "花/1.jpg",
        "label": "花",
        "sha256": "0" * 64,
        "bytes": 1000,
        "split": "train",
    }
    assert document["evaluation"]["accuracy"]["total"] == 2
    assert document["duplicates"]["listed"][0]["photos"][1]["label"] == "木"


def test_a_share_of_nothing_has_no_value() -> None:
    assert Share(0, 0).value is None
    assert Share(1, 4).value == 0.25


def test_copies_know_what_they_lie_across() -> None:
    def photo(label: str, split: Split) -> Photo:
        return Photo("a.jpg", label, "0" * 64, 1, split)

    both = Copies((photo("a", Split.TRAIN), photo("b", Split.TEST)), exact=False)
    assert (both.across_classes, both.across_splits) == (True, True)
    neither = Copies((photo("a", Split.TEST), photo("a", Split.TEST)), exact=True)
    assert (neither.across_classes, neither.across_splits) == (False, False)
