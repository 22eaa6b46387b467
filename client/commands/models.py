"""`tfleet models`."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Mapping
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from tfleet.client.commands.plan_change import plan_failures, plan_store, proxy_transport
from tfleet.client.commands.refused import refused_reason
from tfleet.client.commands.table import Row, TableLayout, render_rows
from tfleet.client.rollout.fleet_state import (
    CANARY,
    PREVIOUS,
    STABLE,
    FleetState,
    ModelState,
    model_document,
    version_rows,
)
from tfleet.client.rollout.mirrored import MirroredSum, ask_mirrored, mirrored_line, mirroring
from tfleet.client.text import count, printable
from tfleet.discovery.options import RegistryOptions, json_option, registry_options, take_options
from tfleet.discovery.version_order import version_rank

Mirrored = Mapping[str, MirroredSum]
"""By model: only those whose requests are mirrored."""

_UNLIMITED_WIDTH: Final = 10_000
_STYLES: Final = {STABLE: "green", CANARY: "yellow", PREVIOUS: "cyan"}
_LAYOUT: Final = TableLayout(
    headings=("model", "version", "ready", "share", "role", "labels"),
    note="note",
    lines=((0, 1, 4), (2, 3), (5,)),
    numbers=frozenset({2, 3}),
)


@click.command()
@registry_options
@click.option(
    "--default",
    metavar="NAME",
    allow_from_autoenv=False,  # a variable must not make each look at the models write
    help="Let requests that name no model go to NAME.",
)
@click.option("--no-default", is_flag=True, allow_from_autoenv=False, help="Undo --default.")
@click.option(
    "--end-plan",
    metavar="NAME",
    allow_from_autoenv=False,
    help="End the plan of the model NAME, also one that can't be read. Its labels and its canary end with "
    "it, and the version with the most ready workers gets all requests. A model without workers is listed no "
    "more.",
)
@json_option("one JSON object")
def models(
    *, default: str | None, no_default: bool, end_plan: str | None, as_json: bool, **values: Any
) -> None:
    """Show the models of the fleet: versions, ready workers, and the share of the requests that each gets.

    Workers are those that the registry lists with passing checks, and those in maintenance, which are not
    ready. The share is of the requests that name no version. The role is stable, canary or previous. A model
    without a plan has no roles: its version with the most ready workers gets all requests, of equals the
    higher one. A note says why the last canary was rolled back, what came of requests mirrored to the canary,
    which versions `tfleet up --models` is starting, and why it can't use a version.

    Requests that name no model go to the default model or, if none is set, to the only one.

    \b
    Examples:
      tfleet models
      tfleet models --default flowers
      tfleet models --end-plan flowers
      tfleet models --json | jq -r '.models[] | select(.plan.canary) | .name'

    \b
    Exit code:
      0    done
      1    the registry did not answer, or somebody else changed the default model or the plan meanwhile
      2    wrong usage, no such model, or no plan to end
    """
    if default is not None and no_default:
        raise click.UsageError("--default and --no-default exclude each other")
    if end_plan is not None and (default is not None or no_default):
        raise click.UsageError("--end-plan goes with neither --default nor --no-default")
    if end_plan == "":
        raise click.UsageError("--end-plan needs the name of a model")
    if default == "":
        raise click.UsageError("--default needs the name of a model: --no-default sets none")
    registry = take_options(RegistryOptions, values)
    with plan_failures("models"):
        fleet, mirrored = asyncio.run(_fleet(registry, "" if no_default else default, end_plan))
        if as_json:
            click.echo(json.dumps(_document(registry.service, fleet, mirrored), indent=2))
            return
        if fleet.models:
            # A pipe has no width: long names must not be cut.
            console = Console(highlight=False, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)
            console.print(models_table(fleet, mirrored, console.width))
        else:
            click.echo(f"no worker of {registry.service} is registered yet: start one with `tfleet worker`")
        for line in _remarks(fleet):
            _say(line)


async def _fleet(
    registry: RegistryOptions, default: str | None, end_plan: str | None
) -> tuple[FleetState, Mirrored]:
    async with plan_store(registry) as plans:
        if end_plan is not None:
            _say(_ended_line(await plans.end(end_plan, _say)))
        fleet = await plans.read() if default is None else await plans.set_default(default, _say)
        canaries = mirroring(fleet)
        if not canaries:
            return fleet, {}
        # The registry does not know what came of mirrored requests: the proxies count them.
        transport = proxy_transport()
        try:
            return fleet, await ask_mirrored(transport, await plans.proxies(), canaries)
        finally:
            await transport.close()


def _document(service: str, fleet: FleetState, mirrored: Mirrored) -> dict[str, Any]:
    rows = []
    for model in fleet.models.values():
        row = model_document(model, default=model.name == fleet.default_model, now_s=time.time())
        counts = mirrored[model.name].document() if model.name in mirrored else None
        rows.append({**row, "mirrored": counts, "problem": model.problem})
    return {"service": service, "default": fleet.default, "models": rows}


def models_table(fleet: FleetState, mirrored: Mirrored, width: int) -> Any:
    """The versions of all models for a terminal of `width` columns: one a row, or several lines each."""
    rows = [row for model in fleet.models.values() for row in _rows(model, fleet, mirrored)]
    return render_rows(_LAYOUT, rows, width)


def _rows(model: ModelState, fleet: FleetState, mirrored: Mirrored) -> list[Row]:
    labels_of: dict[str, list[str]] = {}
    for label, version in (model.plan.labels if model.plan is not None else {}).items():
        labels_of.setdefault(version, []).append(label)
    by_version = version_rows(model)
    shown = {row["version"] for row in by_version}
    without = [version for version in {**model.refused, **model.loading} if version not in shown]
    by_version += [_without_workers(version) for version in without]
    by_version.sort(key=lambda row: version_rank(row["version"]), reverse=True)
    by_version = by_version or [_without_workers("")]
    notes = [
        _reported_note(model, row["version"]) or _mirrored_note(model, row["version"], mirrored)
        for row in by_version
    ]
    # The note about the model stands in the first row.
    notes[0] = "; ".join(filter(None, (_note(model, fleet), notes[0])))
    return [
        Row(
            (
                Text(printable(model.name)),
                Text(printable(row["version"])),
                Text(_ready(row)),
                Text(f"{row['percent']:g} %"),
                Text(row["role"], style=_STYLES.get(row["role"], "")),
                Text(printable(" ".join(sorted(labels_of.get(row["version"], ()))))),
            ),
            Text(printable(note)),
        )
        for row, note in zip(by_version, notes, strict=True)
    ]


def _without_workers(version: str) -> dict[str, Any]:
    return {"version": version, "role": "", "ready": 0, "workers": 0, "percent": 0.0}


def _reported_note(model: ModelState, version: str) -> str:
    refused, loading = model.refused.get(version), model.loading.get(version)
    if refused is not None:
        return f"can't be used: {refused_reason(refused.document(time.time()))}"
    return "" if loading is None else f"is loading (tfleet up on {loading.by})"


def _mirrored_note(model: ModelState, version: str, mirrored: Mirrored) -> str:
    canary = model.plan.canary if model.plan is not None else None
    if canary is None or canary.version != version or model.name not in mirrored:
        return ""
    return mirrored_line(canary.mirror, mirrored[model.name])


def _ready(row: dict[str, Any]) -> str:
    return f"{row['ready']}" if row["ready"] == row["workers"] else f"{row['ready']} of {row['workers']}"


def _note(model: ModelState, fleet: FleetState) -> str:
    default = "default model" if len(fleet.models) > 1 and model.name == fleet.default_model else ""
    broken = f"its plan can't be read: {model.problem}" if model.problem else ""
    reason = model.plan.reason if model.plan is not None else ""
    return "; ".join(filter(None, (default, broken, reason)))


def _ended_line(model: ModelState) -> str:
    """What serves a model whose plan has just ended."""
    if model.serving is None:
        after = "none of its workers is ready" if model.versions else "the registry lists no worker of it"
    elif model.serving:
        after = f"version {model.serving}, with the most ready workers, gets all requests"
    else:
        after = "its workers without a version, which are the most, get all requests"
    return f"{model.name}: the plan has ended; {after}"


def _say(line: str) -> None:
    click.echo(printable(line), err=True)


def _remarks(fleet: FleetState) -> list[str]:
    """What the table does not show."""
    lines = [f"no worker is listed: {fleet.acl_hint}"] if fleet.acl_hint else []
    if fleet.default and fleet.default != fleet.default_model:
        lines.append(f"the default model {fleet.default} has no worker: requests that name no model get 503")
    if fleet.default_problem:
        lines.append(f"the default model in the registry can't be read: {fleet.default_problem}")
    if fleet.unnamed:
        lines.append(f"{count(fleet.unnamed, 'worker')} of the fleet registered no model")
    return lines
