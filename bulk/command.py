"""`tfleet score`."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from tfleet.bulk.errors import BrokenInputError, CannotScoreError, InputChangedError, RunFailedError
from tfleet.bulk.fleet_connection import FleetConnection
from tfleet.bulk.interrupt import on_interrupt
from tfleet.bulk.local_model import load_for_bulk
from tfleet.bulk.memory import DEFAULT_MEMORY, parse_size
from tfleet.bulk.options import ScoreOptions
from tfleet.bulk.output import OutputFolder
from tfleet.bulk.prepare import prepare, prepare_fleet
from tfleet.bulk.report import ProgressBar, summary_document, summary_lines
from tfleet.bulk.sources.files import FORMATS, check_apart, expand
from tfleet.bulk.sources.storage import is_url
from tfleet.client.images.files import SkippedFiles
from tfleet.client.proxies.addresses import BadProxyError
from tfleet.client.routes.named_model import NamedModel
from tfleet.discovery.options import json_option, take_options
from tfleet.runtime import log
from tfleet.runtime.clean_exit import FAILED, INTERRUPTED, clean_exit
from tfleet.runtime.printable import printable
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.graph_options import graph_options, trust_option
from tfleet.worker.model.model_path import ModelPath

if TYPE_CHECKING:
    from tfleet.bulk.fleet_model import FleetModel
    from tfleet.bulk.options import FleetOptions
    from tfleet.bulk.prepare import PreparedRun
    from tfleet.bulk.sources.files import InputFile
    from tfleet.bulk.tally import Tally

_REFUSED: Final = 2


def _names(_ctx: click.Context, _param: click.Parameter, value: tuple[str, ...]) -> tuple[str, ...] | None:
    names = tuple(name for each in value for name in each.split(",") if name)
    return names or None


def _size(_ctx: click.Context, _param: click.Parameter, value: str) -> int:
    try:
        return parse_size(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


class OutputPath(click.ParamType[Path | str]):
    """A folder, or a URL as it is: as a path `s3://bucket` would be a folder called `s3:`."""

    name = "folder"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path | str:
        if is_url(str(value)):
            return str(value)
        if Path(value).exists() and not Path(value).is_dir():
            self.fail(f"{value} is a file, and has to be a folder", param, ctx)
        return Path(value)


def _delimiter(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    value = "\t" if value == r"\t" else value
    if value is not None and (len(value) != 1 or not value.isascii() or value in '"\r\n'):
        raise click.BadParameter("it has to be one character of ASCII, and no quote or line end")
    return value


@click.command(context_settings={"show_default": True})
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...")
@click.option(
    "-o",
    "--output",
    required=True,
    allow_from_autoenv=False,  # no variable says what a run writes, and of which rows
    type=OutputPath(),
    metavar="FOLDER",
    help="Folder of this machine for the output; with --spark, one that all executors write to, or a URL.",
)
@click.option(
    "--spark",
    allow_from_autoenv=False,
    metavar="MASTER",
    help="Score on the executors of Spark: local[4], spark://host:7077, yarn, k8s://...",
)
@click.option(
    "--spark-conf",
    allow_from_autoenv=False,
    multiple=True,
    metavar="NAME=VALUE",
    help="With --spark: a setting of Spark, such as spark.executor.cores=4.",
)
@click.option(
    "--model",
    type=ModelPath(),
    metavar="PATH|URL",
    help="What `tfleet worker --model` takes. It runs in this process.",
)
@click.option(
    "--fleet",
    multiple=True,
    allow_from_autoenv=False,
    metavar="URL",
    help="Ask the workers of a fleet instead: the address of its proxy, as `tfleet classify --proxy` has it.",
)
@click.option(
    "--fleet-model",
    allow_from_autoenv=False,
    metavar="NAME[/VERSION]",
    help="With --fleet: its model to ask, and the version.  [default: its default model, and the version "
    "that answers first]",
)
@click.option(
    "--concurrency",
    type=click.IntRange(min=1, max=1000),
    default=8,
    help="With --fleet: number of concurrent requests.",
)
@graph_options
@trust_option
@click.option(
    "--cpus",
    type=click.IntRange(min=1),
    help="CPUs for the model.  [default: those that affinity and cgroup quota allow]",
)
@click.option(
    "--format",
    "form",
    allow_from_autoenv=False,
    type=click.Choice(FORMATS),
    help="What the inputs are.  [default: what the content says, else the name]",
)
@click.option(
    "--delimiter",
    allow_from_autoenv=False,
    callback=_delimiter,
    metavar="CHARACTER",
    help="What separates the cells of CSV; \\t for a tab.  [default: a comma, and a tab in .tsv]",
)
@click.option(
    "--keep",
    allow_from_autoenv=False,
    multiple=True,
    callback=_names,
    metavar="COLUMN,...",
    help="Columns of the input that the output has, too.  [default: all]",
)
@click.option(
    "--image-column",
    allow_from_autoenv=False,
    metavar="COLUMN",
    help="For image models: the column with paths of images, or their bytes.  [default: path, else image]",
)
@click.option(
    "--filter",
    "filter_text",
    allow_from_autoenv=False,
    metavar="CONDITION",
    help='Score only rows for which this is true, such as \'G1 == 1 and city in ("Bern", "Basel")\'.',
)
@click.option(
    "--sample",
    allow_from_autoenv=False,
    type=click.FloatRange(min=0, max=1, min_open=True),
    help="Score only this share of the rows, chosen by chance. The same rows each time.  [default: all]",
)
@click.option(
    "--seed",
    allow_from_autoenv=False,
    type=click.IntRange(0, 2**63 - 1),
    default=0,
    help="Choose another sample.",
)
@click.option(
    "--limit",
    allow_from_autoenv=False,
    type=click.IntRange(min=1),
    help="Score only the first so many rows.  [default: all]",
)
@click.option(
    "--top",
    allow_from_autoenv=False,
    type=click.IntRange(min=1),
    default=1,
    help="Number of labels for each row, for models that have labels.",
)
@click.option(
    "--memory",
    "memory_bytes",
    default=DEFAULT_MEMORY,
    callback=_size,
    metavar="SIZE",
    help="Memory of the whole process, the model included: 1GB, 512MB, 2GiB. Costly images are decoded in "
    "processes beside it, in a quarter of it more at most.",
)
@click.option(
    "--batch-rows",
    allow_from_autoenv=False,
    type=click.IntRange(min=1),
    help="Rows that run together at most. A batch has fewer where its bytes are too many for --memory.  "
    "[default: 4096, and 8 images]",
)
@click.option(
    "--part-rows",
    allow_from_autoenv=False,
    type=click.IntRange(min=1),
    help="Rows of a file of the output, about. What was not written before a kill is scored again.  "
    "[default: 131072, and 1024 images]",
)
@click.option(
    "--resume", is_flag=True, allow_from_autoenv=False, help="Go on with a run that was ended before."
)
@json_option("the summary as one JSON object")
def score(inputs: tuple[str, ...], **options: Any) -> None:
    """Score the rows of files, or images, with a model, and write them with their predictions as Parquet.

    An INPUT is a Parquet, CSV, JSON Lines or Arrow file, an image, a folder, or a pattern such as
    'rows/*.csv'. It may be a URL that fsspec opens. The columns that the model takes are found by their
    names; all are kept. The output is a folder: parts in Parquet, which any reader takes as one table, and a
    manifest. A row that cannot be scored has nulls, and the reason in the column _error.

    After a kill the same command with --resume goes on, and each row is there once. Rows are read in pieces,
    so that a file of any size fits into --memory.

    \b
    Examples:
      tfleet score rows.csv -o scored --model house-prices/1
      tfleet score 'rows/*.parquet' -o scored --model churn --keep customer --json
      tfleet score rows.csv -o tried --model churn --limit 1000
      tfleet score photos/ -o labelled --model flowers/1
      tfleet score 's3://bucket/rows/*.csv' -o scored --model churn
      tfleet score rows.csv -o scored --fleet proxy:12480 --fleet-model churn
      tfleet score photos/ -o labelled --fleet proxy:12480 --concurrency 16
      tfleet score rows.csv -o swiss --model churn --filter 'country == "CH"' --resume

    \b
    Exit code:
      0    every row was scored
      1    some rows were not, see _error; or the run has broken off, see standard error
      2    wrong usage, or a model or an input that cannot be used
      130  interrupted; --resume goes on
    """
    log.configure("console", level="warning")
    given = take_options(ScoreOptions, options)
    goes_on = "" if given.model.engine.spark else ": what is written stays, and --resume goes on"
    with clean_exit():
        try:
            total = _score(inputs, given)
        except (BadProxyError, CannotScoreError, ModelError) as error:
            _say(str(error))
            sys.exit(_REFUSED)
        except BrokenInputError as error:
            _say(f"{error}; what is written stays, and a run of the same input would end there again")
            sys.exit(FAILED)
        except InputChangedError as error:
            _say(f"{error}: begin again in another folder; only with the file as it was, --resume goes on")
            sys.exit(FAILED)
        except RunFailedError as error:
            _say(f"{error}{goes_on}")
            sys.exit(FAILED)
        except KeyboardInterrupt:
            _say(f"interrupted{goes_on}")
            sys.exit(INTERRUPTED)
    if total.failed:
        sys.exit(FAILED)


def _say(text: str) -> None:
    click.echo(printable(f"tfleet score: {text}"), err=True)


def _without_others(files: list[InputFile]) -> list[InputFile]:
    """The files without those in folders that are no images, which are counted on standard error."""
    skipped = SkippedFiles()
    for file in files:
        if file.is_other:
            skipped.add(file.name)
    if skipped:
        _say(f"{skipped}; name a file on the command line to score it anyway")
    return [file for file in files if not file.is_other]


def _score(inputs: tuple[str, ...], options: ScoreOptions) -> Tally:
    """Score the inputs, and print the summary."""
    ctx = click.get_current_context()
    typed = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    options.model.check(typed)
    options.model.engine.check(typed)
    if options.model.engine.spark is not None:
        return _score_with_spark(inputs, options, options.model.engine.spark)
    if isinstance(options.output, str):
        raise CannotScoreError(
            f"-o {options.output}: it has to be a folder of this machine: copy it from there when the run is "
            "done"
        )
    local, fleet = options.model.local, options.model.fleet
    selection = options.select.chosen()
    files = expand(inputs)
    check_apart(inputs, files, options.output)
    for file in files:  # before the model is loaded, which takes seconds
        if not file.is_other:
            file.format(options.read.form)
    with ExitStack() as stack:
        folder = stack.enter_context(closing(OutputFolder(options.output)))
        if fleet.fleet:
            connection, asked = _connected(fleet, local.graph.signature)
            stack.enter_context(closing(connection))
            stack.enter_context(on_interrupt(connection.give_up))
            if asked.images:
                files = _without_others(files)
            prepared = prepare_fleet(files, selection, connection, asked, options)
        else:
            spec = local.find()
            model = stack.enter_context(closing(load_for_bulk(spec, local, options.sizes)))
            if model.classifier is not None:
                files = _without_others(files)
            prepared = prepare(files, selection, spec, model, options, stack)
        return _run(prepared, folder, options)


def _score_with_spark(inputs: tuple[str, ...], options: ScoreOptions, master: str) -> Tally:
    from tfleet.bulk.spark.run import score_files  # noqa: PLC0415 - for this engine alone

    began_s = time.monotonic()
    total = score_files(inputs, options, master, _say)
    _summarize(total, options, time.monotonic() - began_s, total.rows)
    return total


def _connected(options: FleetOptions, signature: str | None) -> tuple[FleetConnection, FleetModel]:
    """A connection to one version of the model, so that a rollout does not mix two of them in one output."""
    asked = options.named()
    with closing(FleetConnection(options.client(asked))) as first:
        model = first.model(signature)
    return FleetConnection(options.client(NamedModel(model.name, model.version))), model


def _run(prepared: PreparedRun, folder: OutputFolder, options: ScoreOptions) -> Tally:
    written = folder.open(prepared.plan, resume=options.resume)
    began_s, before = time.monotonic(), sum(part.tally.rows for part in written)
    with ProgressBar(prepared.size, time.monotonic, shown=sys.stderr.isatty()) as bar:
        total = prepared.run(folder)(written, bar)
    _summarize(total, options, time.monotonic() - began_s, total.rows - before)
    return total


def _summarize(total: Tally, options: ScoreOptions, seconds: float, new_rows: int) -> None:
    if options.as_json:
        click.echo(json.dumps(summary_document(total, str(options.output), seconds, new_rows)))
    else:
        for line in summary_lines(total, str(options.output), seconds, new_rows):
            click.echo(line)
