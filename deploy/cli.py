"""The program `tfleet`: the names of its commands. Each command is imported when it runs."""

from __future__ import annotations

import click

from tfleet import __version__
from tfleet.deploy.lazy_commands import LazyCommand, LazyGroup
from tfleet.runtime.clean_exit import clean_exit

_COMMANDS = (
    LazyCommand(
        "up",
        "tfleet.deploy.local.command:up",
        short_help="Start a whole fleet on this machine: registry, proxy and workers.",
        extra="worker,proxy",
    ),
    LazyCommand(
        "worker",
        "tfleet.worker.cli:worker",
        short_help="Serve one TensorFlow model, and register it.",
        extra="worker",
    ),
    LazyGroup(
        "model",
        help="Look at a model, and prepare it for serving.",
        commands=(
            LazyCommand(
                "show",
                "tfleet.worker.model.commands.show:show",
                short_help="Print a model's signatures and what was found out, without loading it.",
                extra="worker",
            ),
            LazyCommand(
                "check",
                "tfleet.worker.commands.check:check",
                short_help="Load a model, run it, and say how long that takes.",
                extra="worker",
            ),
            LazyCommand(
                "convert",
                "tfleet.worker.model.commands.convert:convert",
                short_help="Convert a Keras file to a SavedModel.",
                extra="worker",
            ),
            LazyCommand(
                "init",
                "tfleet.worker.model.commands.init:init",
                short_help="Write a model.toml with everything that was found out, as comments.",
                extra="worker",
            ),
        ),
    ),
    LazyCommand(
        "proxy",
        "tfleet.proxy.cli:proxy",
        short_help="Balance requests over the workers (forward or p2p mode).",
        extra="proxy",
    ),
    LazyCommand(
        "registry",
        "tfleet.discovery.cli:registry",
        short_help="Run the embedded registry on its own.",
    ),
    LazyCommand(
        "classify",
        "tfleet.client.commands.classify:classify",
        short_help="Classify files and folders of images.",
        extra="client",
    ),
    LazyCommand(
        "score",
        "tfleet.bulk.command:score",
        short_help="Score the rows of files in bulk, and write them as Parquet.",
        extra="score,worker",
    ),
    LazyCommand(
        "retrain",
        "tfleet.training.command:retrain",
        short_help="Make an image model of a folder of photographs.",
        extra="client,worker",
    ),
    LazyCommand(
        "train",
        "tfleet.training.distributed.command:train",
        short_help="Train a Keras script on several processes or machines.",
        extra="train,worker",
    ),
    LazyCommand(
        "status",
        "tfleet.client.commands.status:status",
        short_help="Show the workers that the proxy knows.",
        extra="client",
    ),
    LazyCommand(
        "models",
        "tfleet.client.commands.models:models",
        short_help="Show the fleet's models, and the share of each version.",
        extra="client",
    ),
    LazyCommand(
        "rollout",
        "tfleet.client.commands.rollout:rollout",
        short_help="Send a share of a model's requests to a new version.",
        extra="client",
    ),
    LazyCommand(
        "promote",
        "tfleet.client.commands.rollout:promote",
        short_help="Make a model's canary its stable version.",
        extra="client",
    ),
    LazyCommand(
        "rollback",
        "tfleet.client.commands.rollout:rollback",
        short_help="Go back to a model's stable or previous version.",
        extra="client",
    ),
    LazyCommand(
        "label",
        "tfleet.client.commands.label:label",
        short_help="Set and remove labels of a model's versions.",
        extra="client",
    ),
    LazyCommand(
        "drain",
        "tfleet.client.commands.drain:drain",
        short_help="Take a worker out of the fleet without losing a request.",
    ),
    LazyCommand(
        "prune",
        "tfleet.client.commands.prune:prune",
        short_help="Remove stale registrations of workers from the registry.",
        extra="client",
    ),
    LazyGroup(
        "jobs",
        help="List jobs in Redis, retry or drop dead ones.",
        commands=(
            LazyCommand(
                "list",
                "tfleet.client.commands.jobs:list_jobs",
                short_help="List the jobs without an answer.",
                extra="client,jobs",
            ),
            LazyCommand(
                "dead",
                "tfleet.client.commands.jobs:dead",
                short_help="List the dead jobs, and why they are dead.",
                extra="client,jobs",
            ),
            LazyCommand(
                "retry",
                "tfleet.client.commands.jobs:retry",
                short_help="Queue dead jobs again.",
                extra="client,jobs",
            ),
            LazyCommand(
                "drop",
                "tfleet.client.commands.jobs:drop",
                short_help="Remove dead jobs.",
                extra="client,jobs",
            ),
        ),
    ),
    LazyCommand(
        "scale",
        "tfleet.deploy.compose.scale_command:scale",
        short_help="Set the number of workers that docker compose started.",
        extra="docker",
    ),
    LazyCommand(
        "autoscale",
        "tfleet.deploy.compose.autoscale_command:autoscale",
        short_help="Adjust the number of docker compose workers to the load.",
        extra="docker",
    ),
)


@click.group(
    cls=LazyGroup,
    commands=_COMMANDS,
    epilog="Every option can also be an environment variable: --max-body-bytes is TFLEET_MAX_BODY_BYTES.",
)
@click.version_option(__version__, prog_name="tfleet")
def cli() -> None:
    """Serve a TensorFlow model over HTTP, on one machine or load-balanced over many."""


def main() -> None:
    """Run the program with this process's arguments, and exit with the command's exit code."""
    # Around click, which lets a full disk pass as a traceback, also for --help.
    with clean_exit():
        cli(prog_name="tfleet")
