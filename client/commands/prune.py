"""`tfleet prune`."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from tfleet.client.commands.table import Row, TableLayout, render_rows
from tfleet.client.text import count, printable
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.options import (
    RegistryOptions,
    dry_run_option,
    json_option,
    registry_options,
    take_options,
)
from tfleet.discovery.registration.conflicts import find_address_owner
from tfleet.discovery.registration.heartbeat import TTL_S
from tfleet.discovery.registration.prune import PruneCandidate, PruneKind, find_stale, remove_stale
from tfleet.discovery.registry import StaticRegistry
from tfleet.runtime.clean_exit import INTERRUPTED, clean_exit

_TIMEOUT_S: Final = 10.0
_UNLIMITED_WIDTH: Final = 10_000
_STYLES: Final = {"passing": "green", "warning": "yellow", "critical": "bold red"}
_LAYOUT: Final = TableLayout(("id", "address", "node", "state"), note="reason", lines=((0, 3), (1, 2)))
_CANNOT_ASK: Final = "tfleet prune: can't ask for confirmation here: use --yes to remove or --dry-run to list"


@click.command()
@registry_options
@click.option("--yes", is_flag=True, help="Remove without asking for confirmation.")
@dry_run_option("Only list stale registrations")
@click.option(
    "--unreachable", is_flag=True, help="Also remove passing registrations that don't answer from here."
)
@json_option("one JSON document; needs --yes or --dry-run")
def prune(**values: Any) -> None:
    """Remove stale registrations of workers from the registry, or with --service NAME-proxy those of proxies.

    The command asks at each registered address who answers. A registration is stale if another worker
    answers, or if none answers and its checks are critical. Stale registrations are listed, and removed after
    confirmation. A worker that answers with its own id is never removed, whatever its checks say.

    A registration that does not answer from here, but whose checks are not critical, may belong to a worker
    that this machine can't reach. It is listed as unreachable and kept. --unreachable removes it as well: use
    that only where this machine can reach the workers, for instance for registrations without a check, which
    never expire.

    If a removed worker is alive after all, it registers again within seconds, and proxies that reach it go on
    using it. With several Consul agents, another agent may restore what was registered there: then run the
    command there.

    \b
    Examples:
      tfleet prune
      tfleet prune --service tfleet-proxy
      tfleet prune --registry consul://10.0.0.5:8500 --dry-run
      tfleet prune --yes --json | jq -r '.stale[] | select(.removed) | .id'
      tfleet prune --dry-run --json | jq -r '.unreachable[].address'

    \b
    Exit code:
      0    done, or nothing to do
      1    the registry did not answer
      2    wrong usage, also without a terminal to ask for confirmation, --yes and --dry-run
      130  interrupted
    """
    asked, registry = take_options(PruneOptions, values), take_options(RegistryOptions, values)
    where, service = registry.chosen(), registry.service
    if isinstance(where, StaticRegistry):
        raise click.UsageError("--registry static: is a fixed list, which workers do not register in")
    if not (asked.yes or asked.dry_run) and (asked.as_json or not sys.stdin.isatty()):
        click.echo(_CANNOT_ASK, err=True)
        sys.exit(2)
    agent = ConsulAgent(where.address, service, ttl_s=TTL_S, access=where.access, timeout_s=_TIMEOUT_S)
    with clean_exit():
        try:
            found, removed = _prune(agent, asked)
        except RegistryError as error:
            click.echo(printable(f"tfleet prune: {error}"), err=True)
            sys.exit(1)
        if asked.as_json:
            click.echo(json.dumps(_document(found, removed), indent=2))
        else:
            click.echo(_summary(found, removed, asked.kinds, service))


@dataclass(frozen=True, slots=True)
class PruneOptions:
    """The flags of the command line."""

    yes: bool
    dry_run: bool
    unreachable: bool
    as_json: bool

    @property
    def kinds(self) -> frozenset[PruneKind]:
        """The kinds of stale registrations that are removed."""
        return frozenset(PruneKind) if self.unreachable else frozenset({PruneKind.STALE})


def _prune(agent: ConsulAgent, options: PruneOptions) -> tuple[list[PruneCandidate], list[PruneCandidate]]:
    """Find stale registrations and remove them as asked. Returns those found and those removed.

    Raises RegistryError.
    """
    found = list(find_stale(agent, find_address_owner))
    removable = [one for one in found if one.kind in options.kinds]
    if found and not options.as_json:
        _show(found)
    removed: list[PruneCandidate] = []
    if removable and not options.dry_run and (options.yes or _confirmed(removable)):
        # Each is tested again right before: the operator may have thought for minutes.
        removed.extend(remove_stale(agent, removable, find_address_owner, options.kinds))
    return found, removed


def _confirmed(removable: Sequence[PruneCandidate]) -> bool:
    try:
        return click.confirm(f"Remove {count(len(removable), 'registration')}?")
    except click.Abort:  # Ctrl-C, or the end of the input
        sys.exit(INTERRUPTED)


def _summary(
    found: Sequence[PruneCandidate],
    removed: Sequence[PruneCandidate],
    kinds: Collection[PruneKind],
    service: str,
) -> str:
    stale, unreachable = _of(PruneKind.STALE, found), _of(PruneKind.UNREACHABLE, found)
    stale_text = f"no stale registrations of {service}"
    if stale:
        gone = len(_of(PruneKind.STALE, removed))
        stale_text = f"{gone} of {count(len(stale), 'stale registration')} removed"
    if not unreachable:
        return stale_text
    if PruneKind.UNREACHABLE in kinds:
        gone = len(_of(PruneKind.UNREACHABLE, removed))
        return f"{stale_text}; {gone} of {len(unreachable)} unreachable removed"
    kept = f"{len(unreachable)} kept: not critical, but not reachable from here (see --unreachable)"
    return f"{stale_text}; {kept}"


def _of(kind: PruneKind, found: Sequence[PruneCandidate]) -> list[PruneCandidate]:
    return [one for one in found if one.kind is kind]


def _show(found: Sequence[PruneCandidate]) -> None:
    rows = [
        Row(
            (
                Text(printable(one.listing.instance.id)),
                Text(printable(str(one.listing.instance.address))),
                Text(printable(one.listing.node)),
                Text(one.listing.status, style=_STYLES[one.listing.status]),
            ),
            Text(printable(one.reason)),
        )
        for one in (*_of(PruneKind.STALE, found), *_of(PruneKind.UNREACHABLE, found))
    ]
    # A pipe has no width: long ids must not be cut.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)
    console.print(render_rows(_LAYOUT, rows, console.width))


def _document(found: Sequence[PruneCandidate], removed: Sequence[PruneCandidate]) -> dict[str, Any]:
    def rows(kind: PruneKind) -> list[dict[str, Any]]:
        return [_row(one, removed=one in removed) for one in _of(kind, found)]

    return {"stale": rows(PruneKind.STALE), "unreachable": rows(PruneKind.UNREACHABLE)}


def _row(one: PruneCandidate, *, removed: bool) -> dict[str, Any]:
    return {
        "id": one.listing.instance.id,
        "address": str(one.listing.instance.address),
        "node": one.listing.node,
        "state": one.listing.status,
        "reason": one.reason,
        "removed": removed,
    }
