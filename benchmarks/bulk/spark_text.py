"""What the page says of Spark."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from benchmarks.bulk.rows import FORMS
from benchmarks.bulk.spark import SparkFigures, SparkRound
from benchmarks.bulk.text import bar_lines, paragraph, spread_text
from benchmarks.report.bar import Bar

OVER_UDF: Final = 1.0
"""Of Spark's `predict_batch_udf`."""


def spark_text(figures: SparkFigures) -> list[str]:
    """The section."""
    bars = [
        Bar(f"rows/s of {form}, against predict_batch_udf", OVER_UDF, None, figures.ratio(form))
        for form in FORMS
    ]
    return [
        *paragraph(
            f"{figures.rows:,} rows as above, on Spark with `local[2]`: `tfleet.bulk.spark.score` beside",
            "Spark's own `predict_batch_udf`, which asks Keras' `predict` in batches of 4,096. Both read",
            "with Spark's reader and write Parquet. Starting the session is not counted; starting its",
            "Python workers, with TensorFlow and the model, is. A ratio is taken within a round; shown are",
            "the middle and, in brackets, the least and the most. Memory is that of all processes, the JVM",
            "included; what they share counts for each of them.",
            *figures.around.sentences(),
        ),
        "",
        "![rows a second on Spark, and memory over time](bulk-spark.png)",
        "",
        *bar_lines(bars),
        "",
        "| | CSV | Parquet |",
        "|---|---|---|",
        _rates(figures, "`tfleet.bulk.spark.score`, rows/s", lambda one: figures.rows / one.ours.seconds),
        _rates(figures, "`predict_batch_udf`, rows/s", lambda one: figures.rows / one.udf.seconds),
        _rates(figures, "`tfleet.bulk.spark.score`, s of CPU in all", lambda one: one.ours.process.cpu_s),
        _rates(figures, "`predict_batch_udf`, s of CPU in all", lambda one: one.udf.process.cpu_s),
        _rates(
            figures,
            "`tfleet.bulk.spark.score`, most memory, MB",
            lambda one: one.ours.process.most_bytes / 1e6,
        ),
        _rates(figures, "`predict_batch_udf`, most memory, MB", lambda one: one.udf.process.most_bytes / 1e6),
    ]


def _rates(figures: SparkFigures, name: str, figure: Callable[[SparkRound], float]) -> str:
    cells = (spread_text([figure(one) for one in figures.rounds[form]], 0) for form in FORMS)
    return f"| {name} | {' | '.join(cells)} |"
