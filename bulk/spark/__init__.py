"""Score the rows of a Spark table: `score`.

Nothing here imports pyspark before it is used, as most of this package runs and is tested without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfleet.bulk.spark.dataframe import score

__all__ = ["score"]


def __getattr__(name: str) -> Any:
    if name != "score":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from tfleet.bulk.spark.dataframe import score  # noqa: PLC0415 - see above
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "pyspark":
            raise
        raise ModuleNotFoundError(
            'tfleet.bulk.spark needs the extras "spark" and "worker": pip install \'tfleet[spark,worker]\'',
            name=error.name,
        ) from error
    return score
