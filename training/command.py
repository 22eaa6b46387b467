"""`tfleet retrain`."""

from __future__ import annotations

import os
import sys
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import click

from tfleet.client.proxies.addresses import BadProxyError
from tfleet.discovery.options import json_option, take_options
from tfleet.runtime import log
from tfleet.runtime.clean_exit import FAILED, INTERRUPTED, clean_exit
from tfleet.runtime.printable import printable
from tfleet.training.errors import CannotRetrainError, RetrainFailedError
from tfleet.training.fine_tune.job import EPOCHS
from tfleet.training.options import RetrainOptions
from tfleet.training.progress import ProgressBars
from tfleet.training.run import Retrained
from tfleet.training.run import retrain as run
from tfleet.training.summary import summary_document, summary_lines
from tfleet.worker.image.limits import DEFAULT_MAX_PIXELS
from tfleet.worker.model.cache_folder import cache_folder
from tfleet.worker.model.errors import ModelError

_REFUSED: Final = 2
_NEEDED_TO_SERVE: Final = ("uvloop", "flask")


def _cache(_ctx: click.Context, _param: click.Parameter, value: Path | None) -> Path:
    return cache_folder("vectors") if value is None else value


@click.command(context_settings={"show_default": True})
@click.argument("photos", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--name",
    required=True,
    allow_from_autoenv=False,
    metavar="NAME",
    help="Name of the model. Its next version is made.",
)
@click.option(
    "--models",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("models"),
    help="Folder of all models, as `tfleet up --models` serves it. The version is written to MODELS/NAME/N.",
)
@click.option(
    "--serve",
    is_flag=True,
    allow_from_autoenv=False,
    help="Then serve all of --models, as `tfleet up --models` does.",
)
@click.option(
    "--fine-tune",
    is_flag=True,
    allow_from_autoenv=False,
    help="Then train the last layers of the network as well, on the CPUs of this machine, for minutes to "
    "hours. The result is kept where it is better on the photographs that validate.",
)
@click.option(
    "--epochs",
    allow_from_autoenv=False,
    type=click.IntRange(min=1, max=1000),
    help="With --fine-tune: passes over the photographs. The best one on validation counts."
    f"  [default: {EPOCHS}]",
)
@click.option(
    "--mirror/--no-mirror",
    allow_from_autoenv=False,
    default=True,
    help="With --fine-tune: whether a mirrored photograph shows the same. Of letters and arrows it does not.",
)
@click.option(
    "--min-confidence",
    allow_from_autoenv=False,
    type=click.FloatRange(min=0, max=1, min_open=True, max_open=True),
    help="Answer `unknown` where no class is as likely as this.  [default: always a class]",
)
@click.option(
    "--group-by",
    allow_from_autoenv=False,
    metavar="REGEX",
    help="What photographs that belong together have in common in their paths, such as 'plant[0-9]+': they "
    "all train, validate or test.  [default: what stands before _nohash_]",
)
@click.option(
    "--validation",
    allow_from_autoenv=False,
    type=click.FloatRange(min=0, max=90),
    default=10,
    metavar="PERCENT",
    help="Share of the photographs that the head's penalty is chosen with; one of each class at least.",
)
@click.option(
    "--test",
    allow_from_autoenv=False,
    type=click.FloatRange(min=0, max=90),
    default=10,
    metavar="PERCENT",
    help="Share of the photographs that measure the model at the end.",
)
@click.option(
    "--backbone",
    allow_from_autoenv=False,
    type=click.Path(exists=True, path_type=Path),
    help="Image model that makes the vectors; its model.toml names its embedding.  "
    "[default: EfficientNet-Lite0]",
)
@click.option(
    "--cpus",
    type=click.IntRange(min=1),
    help="CPUs for the model.  [default: those that affinity and cgroup quota allow]",
)
@click.option(
    "--max-pixels",
    allow_from_autoenv=False,
    type=click.IntRange(min=1),
    default=DEFAULT_MAX_PIXELS,
    help="Largest photograph, width x height in pixels; larger ones are passed over. Workers have the same "
    "option.",
)
@click.option(
    "--fleet",
    multiple=True,
    allow_from_autoenv=False,
    metavar="URL",
    help="Let the workers of a fleet make the vectors: the address of its proxy, as `tfleet classify "
    "--proxy` has it. They serve the same model as --backbone.",
)
@click.option(
    "--fleet-model",
    allow_from_autoenv=False,
    metavar="NAME[/VERSION]",
    help="With --fleet: its model to ask, and the version.  [default: its default model]",
)
@click.option(
    "--cache",
    allow_from_autoenv=False,
    type=click.Path(file_okay=False, path_type=Path),
    callback=_cache,
    help="Folder that keeps the vectors of photographs for the next run.  [default: ~/.cache/tfleet/vectors]",
)
@json_option("the summary as one JSON object")
def retrain(photos: Path, **options: Any) -> None:
    """Make an image model of a folder of photographs: a folder in it for each class.

    Each photograph becomes a vector, by a model that knows a million others. A head is trained on the
    vectors, and written together with that model as one graph: MODELS/NAME/N, which `tfleet up --models`
    serves. Beside it is a report: how good the model is on photographs that it has not seen, its mistakes,
    labels that are probably wrong, and photographs that are there twice.

    Vectors are kept. So a second run, with more photographs or after Ctrl-C, costs only the new ones.

    \b
    Examples:
      tfleet retrain photos/ --name flowers
      tfleet retrain photos/ --name flowers --serve
      tfleet retrain photos/ --name flowers --fleet proxy:12480
      tfleet retrain photos/ --name flowers --fine-tune
      tfleet retrain photos/ --name parts --min-confidence 0.8 --group-by 'part[0-9]+'

    \b
    Exit code:
      0    the model is written; what was passed over stands in the report
      1    the run has broken off, see standard error
      2    wrong usage, or photographs that no model can be made of
      130  interrupted; the same command goes on
    """
    log.configure("console", level="warning")
    given = take_options(RetrainOptions, options)
    with clean_exit():
        try:
            if given.serve and (missing := [each for each in _NEEDED_TO_SERVE if find_spec(each) is None]):
                raise CannotRetrainError(
                    f"--serve needs the module {missing[0]}: pip install 'tfleet[worker,proxy]'"
                )
            with ProgressBars(time.monotonic, shown=sys.stderr.isatty()) as bars:
                made = run(photos, given, bars)
        except (BadProxyError, CannotRetrainError, ModelError) as error:
            _say(str(error))
            sys.exit(_REFUSED)
        except RetrainFailedError as error:
            _say(f"{error}; the vectors that were made are kept")
            sys.exit(FAILED)
        except KeyboardInterrupt:
            _say("interrupted: the vectors that were made are kept, and the same command goes on")
            sys.exit(INTERRUPTED)
        _summarize(made, given)
        if given.serve:
            _serve(given.target.models)


def _say(text: str) -> None:
    click.echo(printable(f"tfleet retrain: {text}"), err=True)


def _summarize(made: Retrained, options: RetrainOptions) -> None:
    for warning in made.results.warnings:
        _say(warning)
    if options.as_json:
        click.echo(summary_document(made))
        return
    for line in summary_lines(made, serves=options.serve):
        click.echo(line)


def _serve(models: Path) -> None:
    """Become `tfleet up --models`: its signals and exit code are this process's."""
    sys.stdout.flush()
    sys.stderr.flush()
    # -P: a module of the same name in the working directory must not be imported instead.
    program = (sys.executable, "-P", "-m", "tfleet", "up", "--models", str(models))
    os.execv(program[0], program)  # noqa: S606 - this program itself, without a shell
