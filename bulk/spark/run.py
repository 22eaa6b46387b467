"""`tfleet score --spark`: read files, score them, write them, and count what was written."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from tfleet import __version__
from tfleet.bulk.errors import CannotScoreError, RunFailedError
from tfleet.bulk.manifest import MANIFEST
from tfleet.bulk.sources.storage import shown
from tfleet.bulk.spark.hadoop import HadoopFiles
from tfleet.bulk.spark.problems import line_of, warnings_of
from tfleet.bulk.spark.session import parse_settings, spark_session
from tfleet.bulk.spark.settings import ExecutorModel, FleetChoice, RowSettings
from tfleet.bulk.spark.tally_task import CountRows
from tfleet.bulk.tally import Tally, tally_of

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from tfleet.bulk.options import ScoreOptions
    from tfleet.bulk.spark.dataframe import ScoredTable
    from tfleet.bulk.spark.settings import Answers


def score_files(
    inputs: Sequence[str], options: ScoreOptions, master: str, say: Callable[[str], None]
) -> Tally:
    """Score the inputs into the output folder, and count. `say` tells a warning.

    Raises CannotScoreError, ModelError and RunFailedError.
    """
    settings = parse_settings(options.model.engine.spark_conf)
    with spark_session(master, settings, bar=sys.stderr.isatty()) as session:
        from py4j.protocol import Py4JError  # noqa: PLC0415 - found to be installed by now
        from pyspark.errors import AnalysisException, PySparkException  # noqa: PLC0415 - the same

        try:
            return _score(session, inputs, options, say)
        except AnalysisException as error:  # a path that is not there, a column that is ambiguous
            raise CannotScoreError(line_of(error)) from error
        except (PySparkException, Py4JError) as error:
            raise RunFailedError(line_of(error)) from error


def _score(
    session: SparkSession, inputs: Sequence[str], options: ScoreOptions, say: Callable[[str], None]
) -> Tally:
    from tfleet.bulk.spark.dataframe import scored_table  # noqa: PLC0415 - imports pyspark
    from tfleet.bulk.spark.read import read_input  # noqa: PLC0415 - the same

    files, output = HadoopFiles(session), str(options.output)
    if files.exists(output):
        raise CannotScoreError(f"{output}: is there already: Spark writes a new folder")
    choice = _choice(options)
    found = read_input(session, inputs, options.read)
    rows = RowSettings(options.top, options.read.image_column, batch_rows=options.sizes.batch_rows)
    limit = options.select.limit
    table = scored_table(found.frame, choice, rows, options.read.keep, text=found.text, limit=limit)
    for text in warnings_of(session.conf.get, table.answers):
        say(text)
    table.frame.write.parquet(output)
    total = _counted(session, output, table.answers)
    manifest = _manifest(session, inputs, options, (choice, table), total)
    files.write(f"{output.rstrip('/')}/{MANIFEST}", json.dumps(manifest, indent=2))
    return total


def _choice(options: ScoreOptions) -> ExecutorModel | FleetChoice:
    from tfleet.bulk.spark.dataframe import executor_model  # noqa: PLC0415 - imports pyspark

    local = options.model.local
    if options.model.fleet.fleet:
        return FleetChoice(options.model.fleet, local.graph.signature)
    return executor_model(local.model, local.graph, trust=local.trust)


def _counted(session: SparkSession, path: str, answers: Answers) -> Tally:
    """The counts of the rows that were written, whichever tasks ran twice."""
    task = CountRows(answers.label, answers.probability)
    counts = session.read.parquet(path).select(*task.columns).mapInArrow(task, "counts string").collect()
    return sum((tally_of(json.loads(row.counts)) for row in counts), Tally())


def _manifest(
    session: SparkSession,
    inputs: Sequence[str],
    options: ScoreOptions,
    asked: tuple[ExecutorModel | FleetChoice, ScoredTable],
    total: Tally,
) -> dict[str, Any]:
    choice, table = asked
    model: dict[str, Any] = {"of": "a fleet", "name": table.answers.fleet_model}
    if isinstance(choice, ExecutorModel):
        model = {"path": str(choice.shown), "sha256": choice.sha256}
    return {
        "complete": True,
        "tfleet": __version__,
        "spark": {"version": session.version, "application": session.sparkContext.applicationId},
        "model": model,
        "inputs": [shown(each) for each in inputs],
        "settings": {
            "--top": options.top,
            "--format": options.read.form,
            "--delimiter": options.read.delimiter,
            "--keep": None if options.read.keep is None else list(options.read.keep),
            "--image-column": options.read.image_column,
            "--limit": options.select.limit,
            "--batch-rows": options.sizes.batch_rows,
        },
        "summary": total.document(),
    }
