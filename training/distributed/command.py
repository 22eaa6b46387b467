"""`tfleet train`."""

from __future__ import annotations

import json
import math
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from tfleet.contract.identifiers import is_label
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.options import json_option, registry_options, take_options
from tfleet.runtime import log
from tfleet.runtime.clean_exit import FAILED, clean_exit
from tfleet.runtime.printable import printable
from tfleet.training.distributed.errors import CannotTrainError, StoppedError, TrainingFailedError
from tfleet.training.distributed.options import DEFAULT_PORT, TrainOptions
from tfleet.training.distributed.run import train as run_training
from tfleet.training.model_versions import UNFINISHED

if TYPE_CHECKING:
    from tfleet.training.distributed.run import Trained

_REFUSED: Final = 2
_SIGNALLED: Final = 128
_MAX_PROCESSES: Final = 1024


def _hosts(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in value.split(",")) if value else ()


def _name_problem(name: str) -> str:
    if not is_label(name) or not name or "/" in name or name.startswith("."):
        return "it has to be a name of printable ASCII, without a slash or a leading dot"
    if name.endswith(UNFINISHED):
        return f"it must not end in {' or '.join(UNFINISHED)}: such folders are not served"
    return ""


def _name(_ctx: click.Context, _param: click.Parameter, value: str | None) -> str | None:
    if value is not None and (problem := _name_problem(value)):
        raise click.BadParameter(problem)
    return value


@click.command(context_settings={"show_default": True})
@click.argument("script", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("arguments", nargs=-1, metavar="[-- ARGUMENT...]")
@click.option(
    "--processes",
    allow_from_autoenv=False,
    type=click.IntRange(1, _MAX_PROCESSES),
    default=1,
    help="Number of processes on this machine, and on each other one.",
)
@click.option(
    "--hosts",
    allow_from_autoenv=False,
    callback=_hosts,
    metavar="HOST,HOST...",
    help="Train on these machines: run the same command on each. The first one's first process listens for "
    "the others.",
)
@click.option(
    "--rank",
    allow_from_autoenv=False,
    type=click.IntRange(min=0),
    help="Which of --hosts this machine is, counted from 0.  [default: the one that is an address of this "
    "machine]",
)
@click.option(
    "--port",
    allow_from_autoenv=False,
    type=click.IntRange(1, 65535),
    default=DEFAULT_PORT,
    help="With --hosts: port on which the first one listens.",
)
@click.option(
    "--machines",
    allow_from_autoenv=False,
    type=click.IntRange(1, _MAX_PROCESSES),
    help="Instead of --hosts: the number of machines, which find each other by --registry.",
)
@click.option(
    "--run",
    allow_from_autoenv=False,
    callback=_name,
    metavar="NAME",
    help="With --machines: name of this run, the same on all.  [default: the script's name]",
)
@click.option(
    "--address",
    allow_from_autoenv=False,
    metavar="HOST",
    help="With --machines: address of this machine for the others.  [default: the one it uses towards the "
    "registry]",
)
@click.option(
    "--join-timeout",
    "join_timeout_s",
    allow_from_autoenv=False,
    type=click.FloatRange(min=1, max=86_400),
    default=300.0,
    metavar="SECONDS",
    help="How long to wait for the other machines, and then for all processes.",
)
@registry_options
@click.option(
    "--name",
    allow_from_autoenv=False,
    callback=_name,
    metavar="NAME",
    help="Name of the model.  [default: the script's name]",
)
@click.option(
    "--models",
    allow_from_autoenv=False,
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("models"),
    metavar="FOLDER",
    help="Where models are: the new one becomes the next version, FOLDER/NAME/N.",
)
@click.option(
    "--export/--no-export",
    default=True,
    allow_from_autoenv=False,
    help="Make a version to serve of the model that the script saved last.",
)
@click.option(
    "--seed",
    allow_from_autoenv=False,
    type=click.IntRange(0, 2**32 - 1),
    default=0,
    help="Seed of Python, NumPy and Keras in each process.",
)
@json_option("the result as one JSON object")
def train(script: Path, arguments: tuple[str, ...], as_json: bool, **options: Any) -> None:
    """Run a script that trains a Keras 3 model, on several processes or machines at once.

    The script stays as it is: it makes a model, calls model.fit, and saves it with model.save("NAME.keras").
    Keras runs on JAX. Each process reads the same batches and computes its share of each, so that the model
    comes out as with one process. Only the first process saves. When all are through, the file that the
    script saved last is read under TensorFlow, and becomes a version that workers serve.

    If one process fails, all end, and nothing is exported. Training is neither elastic nor fault tolerant: it
    begins again. Machines have to trust each other and their network.

    \b
    Examples:
      tfleet train flowers.py --processes 2
      tfleet train flowers.py --processes 2 -- --epochs 3       # an option of the script
      tfleet train flowers.py --hosts node-1,node-2             # on both machines
      tfleet train flowers.py --machines 2 --registry consul://127.0.0.1:8500 --run monday

    \b
    Exit code:
      0    trained and, on the first machine, exported
      1    a process or a machine failed, or the model cannot be exported
      2    wrong usage
      130  interrupted; 143 after SIGTERM
    """
    log.configure("console", level="warning")
    given = take_options(TrainOptions, options)
    _check_usage(given)
    if given.model.export and given.model.name is None and (problem := _name_problem(script.stem)):
        raise click.UsageError(
            f"the script's name {script.stem!r} can't be the model's ({problem}): give --name"
        )
    with clean_exit():
        try:
            with _stopped_by_sigterm():
                done = run_training(script, arguments, given, _say, _show(as_json))
        except CannotTrainError as error:
            _say(str(error))
            sys.exit(_REFUSED)
        except (TrainingFailedError, RegistryError) as error:
            _say(str(error))
            sys.exit(FAILED)
        except StoppedError as error:
            _say("interrupted" if error.number is signal.SIGINT else str(error))
            sys.exit(_SIGNALLED + error.number)
        _report(done, as_json)


def _check_usage(given: TrainOptions) -> None:
    """Refuse options that would have no effect, and what is no number."""
    machines = given.machines
    if math.isnan(machines.join_timeout_s):
        raise click.UsageError("--join-timeout nan: give a number of seconds")
    if machines.hosts and machines.machines is not None:
        raise click.UsageError("give either --hosts or --machines")
    ctx = click.get_current_context()
    typed = {name for name in ctx.params if ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE}
    of_hosts, of_machines = {"rank", "port"}, {"run", "address", "registry", "registry_port", "service"}
    for names, option, is_given in (
        (of_hosts, "--hosts", bool(machines.hosts)),
        (of_machines, "--machines", machines.machines is not None),
    ):
        if not is_given and (useless := sorted(typed & names)):
            raise click.UsageError(f"--{useless[0].replace('_', '-')} goes with {option}")


@contextmanager
def _stopped_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end what runs as Ctrl-C does, so that nothing half done is left."""

    def stop(number: int, _frame: Any) -> None:
        raise StoppedError(signal.Signals(number))

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _say(text: str) -> None:
    click.echo(printable(f"tfleet train: {text}", keep="\n"), err=True)


def _show(as_json: bool) -> Any:
    """Pass the script's own lines on; with --json not to standard output."""
    return lambda line: click.echo(line, err=as_json)


def _report(done: Trained, as_json: bool) -> None:
    if as_json:
        version = None if done.version is None else str(done.version)
        document = {"machine": done.place.number, "saved": done.source, "version": version}
        click.echo(json.dumps(document, indent=2))
    elif done.version is not None:
        click.echo(printable(f"{done.version}: exported from {done.source}, which the script saved last"))
        click.echo(printable(f"serve it: tfleet up --model {done.version}"))
