"""What `tfleet rollout`, `promote`, `rollback` and `label` share.

These are the options, and how a plan is changed and followed.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import click

from tfleet.client.commands.rollout_output import PlanScreen, change_document, change_line, failure_lines
from tfleet.client.fleet_calls import DEFAULT_CONNECT_TIMEOUT_S
from tfleet.client.http.transport import Transport
from tfleet.client.rollout.changes import RefusedChangeError, find_model
from tfleet.client.rollout.fleet_state import ModelState
from tfleet.client.rollout.follow import LateWorkerError, PlanOutcome, PlanProgress, follow_plan
from tfleet.client.rollout.plan_store import LostRaceError, PlanChange, PlanStore
from tfleet.client.text import printable
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.options import (
    RegistryOptions,
    dry_run_option,
    json_option,
    registry_options,
    take_options,
)
from tfleet.discovery.plan import BadPlanError, Plan
from tfleet.discovery.registry import StaticRegistry
from tfleet.runtime.clean_exit import clean_exit

_F = TypeVar("_F", bound=Callable[..., Any])

_TIMEOUT_S: Final = 60.0
_MAX_CONNECTIONS: Final = 16

Decide = Callable[[ModelState], Plan]
"""Makes the new plan of a model's state. Raises RefusedChangeError and BadPlanError."""

Prepare = Callable[[PlanStore, PlanScreen], Awaitable[None]]
"""What is to be done before a plan is changed, but not for --dry-run."""


@dataclass(frozen=True, slots=True)
class PlanChangeOptions:
    """The values of `plan_change_options`, but the registry's."""

    dry_run: bool
    as_json: bool
    timeout_s: float


def plan_change_options(command: _F) -> _F:
    """Add the options of a command that changes a plan: see PlanChangeOptions and RegistryOptions."""
    timeout = click.option(
        "--timeout",
        "timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        default=_TIMEOUT_S,
        show_default=True,
        metavar="SECONDS",
        allow_from_autoenv=False,  # TFLEET_TIMEOUT in a proxy's container is the proxy's own
        help="How long to wait at most until each proxy shows the new plan.",
    )
    dry_run = dry_run_option("Only say what the plan would be")
    return registry_options(timeout(dry_run(json_option("one JSON object at the end")(command))))


def plan_store(registry: RegistryOptions) -> PlanStore:
    """The plans in the registry of the command line; call it in an event loop. Raises click.UsageError."""
    where = registry.chosen()
    if isinstance(where, StaticRegistry):
        raise click.UsageError("--registry static: is a fixed list: plans need a registry that keeps them")
    return PlanStore(where, registry.service)


def proxy_transport() -> Transport:
    """What asks the proxies; call it in an event loop, and close it."""
    return Transport(connect_timeout_s=DEFAULT_CONNECT_TIMEOUT_S, max_connections=_MAX_CONNECTIONS)


@contextmanager
def plan_failures(command: str) -> Iterator[None]:
    """End with one line and exit code 1 for what failed, and 2 for what can't be done."""
    with clean_exit():
        try:
            yield
        except (RegistryError, LostRaceError, LateWorkerError) as error:
            _fail(f"tfleet {command}: {error}", code=1)
        except (RefusedChangeError, BadPlanError) as error:
            _fail(f"tfleet {command}: {error}", code=2)


def run_change(
    command: str, name: str, values: dict[str, Any], decide: Decide, prepare: Prepare | None = None
) -> None:
    """Change the plan of the model `name`, and wait until each proxy follows it. Prints, and may exit.

    `values` are those of `plan_change_options`.
    """
    options = take_options(PlanChangeOptions, values)
    registry = take_options(RegistryOptions, values)
    with plan_failures(command):
        if options.dry_run:
            change = asyncio.run(_planned(registry, name, decide))
            seen = PlanProgress(replace(change.before, plan=change.plan))
        else:
            change, seen = asyncio.run(_changed(registry, name, decide, prepare, options))
        if options.as_json:
            click.echo(change_document(change, seen, service=registry.service, dry_run=options.dry_run))
        if seen.outcome in {PlanOutcome.CHANGED, PlanOutcome.LATE}:
            _fail(*failure_lines(change, seen, options.timeout_s), code=1)
        elif not options.as_json:
            click.echo(printable(change_line(change, seen, dry_run=options.dry_run)))


async def _planned(registry: RegistryOptions, name: str, decide: Decide) -> PlanChange:
    async with plan_store(registry) as plans:
        model = find_model(await plans.read(), name)
        return PlanChange(model, decide(model), written=False)


async def _changed(
    registry: RegistryOptions,
    name: str,
    decide: Decide,
    prepare: Prepare | None,
    options: PlanChangeOptions,
) -> tuple[PlanChange, PlanProgress]:
    async with AsyncExitStack() as stack:
        plans = await stack.enter_async_context(plan_store(registry))
        transport = proxy_transport()
        stack.push_async_callback(transport.close)
        screen = stack.enter_context(PlanScreen(quiet=options.as_json))
        if prepare is not None:
            await prepare(plans, screen)
        change = await plans.change(name, decide, screen.say)
        screen.tell_change(change)
        return change, await follow_plan(
            plans, transport, change, screen.show_progress, timeout_s=options.timeout_s
        )


def _fail(*lines: str, code: int) -> None:
    for line in lines:
        click.echo(printable(line), err=True)
    sys.exit(code)
