"""The options that `tfleet scale` and `tfleet autoscale` share."""

from __future__ import annotations

import click

project_option = click.option(
    "-p",
    "--project-name",
    "project",
    metavar="NAME",
    envvar="COMPOSE_PROJECT_NAME",
    help="The compose project.  [default: the one of this folder, or else the only one]",
)

# Not --service: that is the workers' name in the registry, and TFLEET_SERVICE is often set.
service_option = click.option(
    "--compose-service",
    "service",
    metavar="NAME",
    default="worker",
    show_default=True,
    help="Which service of the compose file the workers are.",
)
