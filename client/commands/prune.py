"""`tfleet prune`."""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from tfleet.client.commands.options import INTERRUPTED, quiet_end
from tfleet.client.commands.output import count
from tfleet.client.commands.table import Row, TableLayout, shown
from tfleet.client.text import printable
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.options import chosen_registry, registry_options
from tfleet.discovery.registration.conflicts import find_address_owner
from tfleet.discovery.registration.heartbeat import TTL_S
from tfleet.discovery.registration.prune import StaleEntry, StaleKind, find_stale, remove_stale
from tfleet.discovery.registry import StaticRegistry

_TIMEOUT_S: Final = 10.0
_UNLIMITED_WIDTH: Final = 10_000
_STYLES: Final = {"passing": "green", "warning": "yellow", "critical": "bold red"}
_FORM: Final = TableLayout(("id", "address", "node", "state"), note="reason", lines=((0, 3), (1, 2)))
_CANNOT_ASK: Final = "tfleet prune: nobody can be asked here: say --yes to remove, or --dry-run to list"


@click.command()
@registry_options
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--dry-run", is_flag=True, help="Only list.")
@click.option("--unreachable", is_flag=True, help="Also remove passing ones that don't answer here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; needs --yes or --dry-run.")
def prune(
    *,
    registry: str | None,
    registry_port: int,
    registry_token_file: Path | None,
    service: str,
    yes: bool,
    dry_run: bool,
    unreachable: bool,
    as_json: bool,
) -> None:
    """Remove registrations of workers that live no more.

    It asks at the address of each registered worker who answers. A registration is an orphan where another
    worker answers, or where its own does not and its checks are critical. Orphans are listed, and removed
    when you say yes. A worker that answers under its own name is never removed, whatever its checks say.

    One that does not answer here, though its checks are not critical, may live where this machine can't
    reach it. It is listed as not reachable from here and kept; --unreachable removes it, too. Say that only
    where the workers can be reached, for instance for registrations without a check, which pass for ever.

    One that lives after all is back in the registry within seconds, and proxies that reach it go on using
    it. With several Consul agents, another agent may list again what was registered there: then run it there.

    \b
    Examples:
      tfleet prune
      tfleet prune --registry consul://10.0.0.5:8500 --dry-run
      tfleet prune --yes --json | jq -r '.orphans[] | select(.removed) | .id'
      tfleet prune --dry-run --json | jq -r '.unreachable[].address'

    \b
    Exit code:
      0    done, or nothing to do
      1    the registry did not answer
      2    wrong usage; also where nobody can be asked and neither --yes nor --dry-run was said
      130  interrupted
    """
    where = chosen_registry(registry, registry_port, registry_token_file)
    if isinstance(where, StaticRegistry):
        raise click.UsageError("--registry static: is a fixed list: nobody registers there")
    if not (yes or dry_run) and (as_json or not sys.stdin.isatty()):
        click.echo(_CANNOT_ASK, err=True)
        sys.exit(2)
    agent = ConsulAgent(where.address, service, ttl_s=TTL_S, access=where.access, timeout_s=_TIMEOUT_S)
    kinds = frozenset(StaleKind) if unreachable else frozenset({StaleKind.ORPHAN})
    removed: list[StaleEntry] = []
    with quiet_end():
        try:
            found = find_stale(agent, find_address_owner)
            doomed = [one for one in found if one.kind in kinds]
            if found and not as_json:
                _show(found)
            if doomed and not dry_run and (yes or _agreed(doomed)):
                removed.extend(remove_stale(agent, doomed, find_address_owner, kinds))
        except RegistryError as error:
            click.echo(printable(f"tfleet prune: {error}"), err=True)
            sys.exit(1)
        if as_json:
            click.echo(json.dumps(_document(found, removed), indent=2))
        else:
            click.echo(_summary(found, removed, kinds, service))


def _agreed(doomed: Sequence[StaleEntry]) -> bool:
    try:
        return click.confirm(f"Remove {count(len(doomed), 'registration')}?")
    except click.Abort:  # click's word for Ctrl-C and for the end of the input
        sys.exit(INTERRUPTED)


def _summary(
    found: Sequence[StaleEntry], removed: Sequence[StaleEntry], kinds: Collection[StaleKind], service: str
) -> str:
    orphans, unreachable = _of(StaleKind.ORPHAN, found), _of(StaleKind.UNREACHABLE, found)
    said = f"no orphans of {service}"
    if orphans:
        said = f"{len(_of(StaleKind.ORPHAN, removed))} of {count(len(orphans), 'orphan')} removed"
    if not unreachable:
        return said
    if StaleKind.UNREACHABLE in kinds:
        return f"{said}; {len(_of(StaleKind.UNREACHABLE, removed))} of {len(unreachable)} unreachable removed"
    return f"{said}; {len(unreachable)} kept: not critical, but not reachable from here (see --unreachable)"


def _of(kind: StaleKind, found: Sequence[StaleEntry]) -> list[StaleEntry]:
    return [one for one in found if one.kind is kind]


def _show(found: Sequence[StaleEntry]) -> None:
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
        for one in (*_of(StaleKind.ORPHAN, found), *_of(StaleKind.UNREACHABLE, found))
    ]
    # A pipe has no width to fit into.
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH)
    console.print(shown(_FORM, rows, console.width))


def _document(found: Sequence[StaleEntry], removed: Sequence[StaleEntry]) -> dict[str, Any]:
    def rows(kind: StaleKind) -> list[dict[str, Any]]:
        return [_row(one, removed=one in removed) for one in _of(kind, found)]

    return {"orphans": rows(StaleKind.ORPHAN), "unreachable": rows(StaleKind.UNREACHABLE)}


def _row(one: StaleEntry, *, removed: bool) -> dict[str, Any]:
    return {
        "id": one.listing.instance.id,
        "address": str(one.listing.instance.address),
        "node": one.listing.node,
        "state": one.listing.status,
        "reason": one.reason,
        "removed": removed,
    }
