"""Results of `tfleet retrain` that no run has made."""

from __future__ import annotations

from tfleet.training.results import (
    ClassResult,
    Confusion,
    Copies,
    Duplicates,
    Evaluation,
    Mislabel,
    Mislabels,
    Mistake,
    PassedOver,
    Photo,
    Results,
    RunFacts,
    RunSettings,
    RunTimes,
    Share,
    Split,
)


def some_results() -> Results:
    """Two classes, four photographs, and one of everything that can be wrong."""
    photos = (
        Photo("花/1.jpg", "花", "0" * 64, 1000, Split.TRAIN),
        Photo("花/2.jpg", "花", "1" * 64, 1000, Split.TEST),
        Photo("木/1.jpg", "木", "2" * 64, 1000, Split.TRAIN),
        Photo("木/2.jpg", "木", "3" * 64, 1000, Split.TEST),
    )
    evaluation = Evaluation(
        accuracy=Share(1, 2, 0.09, 0.91),
        majority=Share(1, 2, 0.09, 0.91),
        classes=(
            ClassResult("花", 1, 0, 1, Share(1, 1, 0.2, 1.0)),
            ClassResult("木", 1, 0, 1, Share(0, 1, 0.0, 0.8)),
        ),
        confusions=(Confusion("花", "花", 1), Confusion("木", "花", 1)),
        mistakes=(Mistake("木/2.jpg", "木", "花", 0.9, 0.1),),
        mistakes_total=1,
        untested=(),
    )
    settings = RunSettings("efficientnet-lite0", "a" * 64, "224x224", 0.01)
    times = RunTimes(seconds=3.0, vectors_seconds=2.0, head_seconds=0.5, new_vectors=4)
    return Results(
        run=RunFacts("plants", 1, "2026-11-30T12:00:00+00:00", "0.1.0", settings, times),
        evaluation=evaluation,
        mislabels=Mislabels((Mislabel("木/2.jpg", "木", "花", 0.9, 0.1),), 1, 6, 0),
        duplicates=Duplicates((Copies((photos[0], photos[2]), exact=False),), 1),
        photos=photos,
        passed_over=(PassedOver("花/broken.jpg", "it is cut off"),),
    )
