"""`tfleet label`."""

from __future__ import annotations

from functools import partial
from typing import Any

import click

from tfleet.client.commands.plan_change import plan_change_options, run_change
from tfleet.client.rollout.labels import LabelRequest, read_labels, relabelled


def _labels(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> LabelRequest:
    try:
        return read_labels(texts)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error


@click.command()
@click.argument("name")
@click.argument("labels", nargs=-1, required=True, metavar="LABEL=VERSION|LABEL- ...", callback=_labels)
@plan_change_options
def label(*, name: str, labels: LabelRequest, **values: Any) -> None:
    """Set and remove labels of versions of the model NAME, and change nothing else.

    LABEL=VERSION lets /models/NAME/labels/LABEL mean VERSION, also if the label meant another version. LABEL-
    removes the label: requests that name it get 404, and below /v1 400 as from TensorFlow Serving. All are
    changed at once or, if one can't be, none.

    A version needs a ready worker, unless the label means it already. The labels stable and canary are those
    of the plan by themselves. A model without a plan gets one: the version that serves now becomes the stable
    one, and stays when others start.

    \b
    Examples:
      tfleet label flowers prod=3
      tfleet label flowers prod=4 old=3 next-
      tfleet label flowers prod=4 --dry-run

    \b
    Exit code:
      0    each registered proxy shows the plan; with --dry-run, nothing was written
      1    the registry did not answer, a proxy did not show the plan in time, or somebody changed the plan
      2    wrong usage, no such model or label, or no ready worker of a VERSION
      130  interrupted; a plan that was written stays
    """
    run_change("label", name, values, partial(relabelled, asked=labels))
