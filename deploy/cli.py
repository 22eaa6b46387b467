"""The program `tfleet`: only the names of the commands. What they do is imported when they run."""

from __future__ import annotations

import click

from tfleet import __version__
from tfleet.deploy.lazy_commands import LazyCommand, LazyGroup

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
    LazyCommand(
        "proxy",
        "tfleet.proxy.cli:proxy",
        short_help="Forward images to live workers, or say which worker to talk to.",
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
        "status",
        "tfleet.client.commands.classify:status",
        short_help="Show the workers that a proxy knows.",
        extra="client",
    ),
    LazyCommand(
        "drain",
        "tfleet.client.commands.drain:drain",
        short_help="Take a worker out of the fleet without losing a request.",
        extra="client",
    ),
    LazyCommand(
        "prune",
        "tfleet.client.commands.prune:prune",
        short_help="Remove registrations of workers that live no more.",
        extra="client",
    ),
    LazyCommand(
        "scale",
        "tfleet.deploy.compose.scale_command:scale",
        short_help="Have so many workers in the fleet that docker compose started.",
        extra="docker",
    ),
    LazyCommand(
        "autoscale",
        "tfleet.deploy.compose.autoscale_command:autoscale",
        short_help="Follow the load with the number of such workers.",
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
    """A TensorFlow model behind curl, on one machine or spread over many."""


def main() -> None:
    """Run the program with the arguments of this process; ends it with the command's exit code."""
    cli(prog_name="tfleet")
