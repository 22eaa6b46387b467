"""`tfleet prune`."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Final

import click
from rich.console import Console
from rich.table import Table
from rich.text import Text

from tfleet.client.printable import printable
from tfleet.client.quiet_end import INTERRUPTED, quiet_end
from tfleet.client.render import count
from tfleet.discovery.agent import ConsulAgent
from tfleet.discovery.answerer import who_answers
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.options import chosen_registry, registry_options
from tfleet.discovery.prune import Orphan, orphans, remove
from tfleet.discovery.registration import TTL_S
from tfleet.discovery.registry import StaticRegistry

_TIMEOUT_S: Final = 10.0
_UNLIMITED_WIDTH: Final = 10_000
_STYLES: Final = {"passing": "green", "warning": "yellow", "critical": "bold red"}
_CANNOT_ASK: Final = "tfleet prune: nobody can be asked here: say --yes to remove, or --dry-run to list"


@click.command()
@registry_options
@click.option("--yes", is_flag=True, help="Remove without asking.")
@click.option("--dry-run", is_flag=True, help="Only list.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document; needs --yes or --dry-run.")
def prune(
    *, registry: str | None, registry_port: int, service: str, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Remove registrations of workers that live no more.

    It asks at the address of each registered worker who answers. Where nobody does, or somebody else, the
    registration is an orphan. It lists the orphans, and removes them when you say yes. One that answers under
    its own name is never removed, whatever its checks say.

    Run it where the workers can be reached. One that lives after all is back in the registry within seconds,
    and proxies that reach it go on using it. With several Consul agents, another agent may list again what
    was registered there: then run it there.

    \b
    Examples:
      tfleet prune
      tfleet prune --registry consul://10.0.0.5:8500 --dry-run
      tfleet prune --yes --json | jq -r '.orphans[] | select(.removed) | .id'

    \b
    Exit code:
      0    done, or nothing to do
      1    the registry did not answer
      2    wrong usage; also where nobody can be asked and neither --yes nor --dry-run was said
      130  interrupted
    """
    where = chosen_registry(registry, registry_port)
    if isinstance(where, StaticRegistry):
        raise click.UsageError("--registry static: is a fixed list: nobody registers there")
    if not (yes or dry_run) and (as_json or not sys.stdin.isatty()):
        click.echo(_CANNOT_ASK, err=True)
        sys.exit(2)
    agent = ConsulAgent(where.address, service, ttl_s=TTL_S, timeout_s=_TIMEOUT_S)
    removed: list[Orphan] = []
    with quiet_end():
        try:
            found = orphans(agent, who_answers)
            if found and not as_json:
                _show(found)
            if found and not dry_run and (yes or _agreed(found)):
                removed.extend(remove(agent, found, who_answers))
        except RegistryError as error:
            click.echo(f"tfleet prune: {error}", err=True)
            sys.exit(1)
        if as_json:
            click.echo(json.dumps(_document(found, removed), indent=2))
        else:
            click.echo(_summary(found, removed, service))


def _agreed(found: Sequence[Orphan]) -> bool:
    try:
        return click.confirm(f"Remove {count(len(found), 'registration')}?")
    except click.Abort:  # click's word for Ctrl-C and for the end of the input
        sys.exit(INTERRUPTED)


def _summary(found: Sequence[Orphan], removed: Sequence[Orphan], service: str) -> str:
    if not found:
        return f"no orphans of {service}"
    return f"{len(removed)} of {count(len(found), 'orphan')} removed"


def _show(found: Sequence[Orphan]) -> None:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False, header_style="bold")
    for heading in ("id", "address", "node", "state"):
        table.add_column(heading, no_wrap=True)
    table.add_column("reason", overflow="fold")
    for one in found:
        listing = one.listing
        table.add_row(
            Text(printable(listing.instance.id)),
            Text(printable(str(listing.instance.address))),
            Text(printable(listing.node)),
            Text(listing.status, style=_STYLES[listing.status]),
            Text(printable(one.reason)),
        )
    # A pipe has no width to fit into.
    Console(highlight=False, width=None if sys.stdout.isatty() else _UNLIMITED_WIDTH).print(table)


def _document(found: Sequence[Orphan], removed: Sequence[Orphan]) -> dict[str, Any]:
    rows = [
        {
            "id": one.listing.instance.id,
            "address": str(one.listing.instance.address),
            "node": one.listing.node,
            "state": one.listing.status,
            "reason": one.reason,
            "removed": one in removed,
        }
        for one in found
    ]
    return {"orphans": rows}
