"""Print what `tfleet rollout`, `promote`, `rollback` and `label` do: lines while they wait, then one line.

With --json the result is a JSON object. The progress is on standard error: a line that changes on a terminal,
otherwise a new line for each change.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

from rich.console import Console
from rich.text import Text

from tfleet.client.rollout.fleet_state import ModelState, plan_document, role, version_rows
from tfleet.client.rollout.follow import PlanOutcome, PlanProgress
from tfleet.client.text import count, printable

if TYPE_CHECKING:
    from types import TracebackType

    from rich.status import Status

    from tfleet.client.rollout.plan_store import PlanChange
    from tfleet.discovery.plan import Plan

_MAX_NAMED: Final = 10


class PlanScreen:
    """Shows the progress on standard error; nothing if it is `quiet`. Use it with `with`."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self._status: Status | None = None
        self._last = ""
        self._stack = ExitStack()

    def __repr__(self) -> str:
        return f"<PlanScreen {self._last!r}>"

    def __enter__(self) -> Self:
        if self._console.is_terminal and not self._quiet:
            self._status = self._stack.enter_context(self._console.status(""))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def say(self, line: str) -> None:
        """Print a line that stays."""
        if not self._quiet:
            self._console.print(Text(printable(line)))

    def show(self, line: str) -> None:
        """Show the current line of the progress."""
        if self._quiet or line == self._last:
            return
        self._last = line
        if self._status is not None:
            self._status.update(Text(printable(line)))
        else:
            self.say(line)

    def tell_change(self, change: PlanChange) -> None:
        """Say what was written, and that an earlier canary had been rolled back."""
        before = change.before.plan
        if before is not None and before.reason and before.canary is None:
            self.say(f"the last canary of {change.before.name} was rolled back: {before.reason}")
        if not change.written:
            self.say(f"the plan of {change.before.name} is like that already: nothing was written")

    def show_progress(self, seen: PlanProgress) -> None:
        """Show who is ready, what share flows, and how many proxies show the plan."""
        self.show(progress_line(seen))

    def show_awaited(self, model: ModelState, version: str) -> None:
        """Show that a worker of a version is waited for."""
        self.show(f"waiting for a worker of {model.name} version {version}: {workers_line(model)}")


def workers_line(model: ModelState) -> str:
    """The versions with their ready workers and shares, in one line."""
    plan = model.plan
    canary = plan.canary if plan is not None and plan.canary is not None and plan.canary.mirror else None
    return "; ".join(
        f"version {row['version']} {row['role']}".rstrip()
        + f", {row['ready']} of {count(row['workers'], 'worker')} ready, {row['percent']:g} %"
        + (f" and {canary.mirror:g} % mirrored" if canary and canary.version == row["version"] else "")
        for row in version_rows(model)
    )


def progress_line(seen: PlanProgress) -> str:
    """What was last seen."""
    shown = len(seen.proxies) - len(seen.missing)
    proxies = f"{shown} of {count(len(seen.proxies), 'proxy', 'proxies')}"
    problem = f"; {seen.problem}" if seen.problem else ""
    return f"{seen.model.name}: {workers_line(seen.model)}; {proxies} with the new plan{problem}"


def change_line(change: PlanChange, seen: PlanProgress, *, dry_run: bool) -> str:
    """The result of a change, in one line: the shares, unless only labels have changed, and these."""
    before, plan, name = change.before.plan, change.plan, change.before.name
    labels = _labels_text(before.labels if before is not None else {}, plan.labels, dry_run=dry_run)
    if before is not None and labels and before == replace(plan, labels=before.labels):
        text = labels
    else:
        text = "; ".join(filter(None, (_shares_text(plan, dry_run=dry_run), labels)))
    if dry_run:
        return f"{name}: {text}; nothing was written"
    if seen.outcome is PlanOutcome.NO_PROXY:
        return f"{name}: {text}; {seen.problem}"
    return f"{name}: {text}; {count(len(seen.proxies), 'proxy', 'proxies')} with the new plan"


def _shares_text(plan: Plan, *, dry_run: bool) -> str:
    gets = "would get" if dry_run else "gets"
    if plan.canary is None:
        return f"version {plan.stable} {gets} all requests"
    percent = f"{plan.canary.percent:g} % of the requests"
    shares = f"version {plan.canary.version} {gets} {percent}, version {plan.stable} the rest"
    if plan.canary.mirror:
        shares += f", of which {plan.canary.mirror:g} % are mirrored to version {plan.canary.version}"
    return shares


def _labels_text(before: Mapping[str, str], after: Mapping[str, str], *, dry_run: bool) -> str:
    """The labels that have changed."""
    means, removed = ("would mean", "would be removed") if dry_run else ("means", "is removed")
    texts = [f"label {name} {means} version {to}" for name, to in after.items() if before.get(name) != to]
    texts += [f"label {name} {removed}" for name in before if name not in after]
    return ", ".join(texts)


def failure_lines(change: PlanChange, seen: PlanProgress, timeout_s: float) -> list[str]:
    """Why the plan is not followed: somebody has changed it, or these proxies do not show it."""
    name = change.before.name
    if seen.outcome is PlanOutcome.CHANGED:
        return [_changed_line(change, seen)]
    if not seen.missing:
        return [f"{name}: the plan is written, but {seen.problem or 'nobody could be asked'}"]
    missing, shown = len(seen.missing), seen.missing[:_MAX_NAMED]
    more = [f"and {missing - _MAX_NAMED} more"] if missing > _MAX_NAMED else []
    of = f"{missing} of {count(len(seen.proxies), 'proxy', 'proxies')}"
    return [
        f"{name}: the plan is written, but {of} did not show it within {timeout_s:g} s:",
        *(f"  {proxy.id} at {proxy.address}: {proxy.problem}" for proxy in shown),
        *more,
    ]


def _changed_line(change: PlanChange, seen: PlanProgress) -> str:
    name, canary, now = change.before.name, change.plan.canary, seen.model.plan
    if now is None:
        return f"{name}: the plan was written, but somebody else has ended it: {seen.model.problem}".rstrip(
            ": "
        )
    if canary is not None and now.reason and not role(now, canary.version):
        return f"{name}: version {canary.version} was rolled back: {now.reason}"
    of_canary = f", version {now.canary.version} gets {now.canary.percent:g} %" if now.canary else ""
    return (
        f"{name}: the plan was written, but somebody else has changed it since: version {now.stable} is "
        f"stable{of_canary}"
    )


def change_document(change: PlanChange, seen: PlanProgress, *, service: str, dry_run: bool) -> str:
    """The JSON object of a change."""
    document: dict[str, Any] = {
        "service": service,
        "model": change.before.name,
        "dry_run": dry_run,
        "written": change.written,
        "before": plan_document(change.before.plan),
        "plan": plan_document(change.plan),
        "outcome": seen.outcome.value if seen.outcome is not None else None,
        "plan_now": plan_document(seen.model.plan),
        "versions": version_rows(seen.model),
        "proxies": [proxy.document() for proxy in seen.proxies],
        "problem": seen.problem or seen.model.problem,
    }
    return json.dumps(document)
