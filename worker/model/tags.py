"""Which of a SavedModel's graphs is served. No TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tfleet.worker.model.errors import ModelError

SERVING_TAGS: Final = ("serve",)
"""The tag that tf.saved_model.save gives (tf.saved_model.SERVING)."""


def choose_tags(
    path: Path, stated: tuple[str, ...] | None, there: Sequence[tuple[str, ...]]
) -> tuple[str, ...]:
    """The tags of the graph to serve, of those in a SavedModel: the stated ones, or else `serve`, or else
    the only ones. Raises `ModelError`.
    """
    listed = " or ".join(repr(list(tags)) for tags in there)
    if stated is not None:
        found = [tags for tags in there if set(tags) == set(stated)]
        if not found:
            raise ModelError(f"{path}: has no graph with the tags {list(stated)!r}; it has {listed}")
        return found[0]
    if SERVING_TAGS in there:
        return SERVING_TAGS
    # A graph for another processor than this one's needs more tags than the one for any.
    serving = sorted((tags for tags in there if SERVING_TAGS[0] in tags and "tpu" not in tags), key=len)
    candidates = serving or there
    if len(candidates) != 1:
        raise ModelError(f"{path}: has several graphs: set tags in [model] of a model.toml: {listed}")
    return candidates[0]
