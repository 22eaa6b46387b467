"""`tfleet rollout`, `tfleet promote` and `tfleet rollback`.

No variable sets what a change is, or how long it may take: in the container of a proxy or a worker, variables
of the same names are there for these.
"""

from __future__ import annotations

from functools import partial
from typing import Any, Final

import click

from tfleet.client.commands.plan_change import plan_change_options, run_change
from tfleet.client.commands.rollout_output import PlanScreen
from tfleet.client.rollout import changes
from tfleet.client.rollout.changes import DEFAULT_PERCENT, RolloutRequest
from tfleet.client.rollout.follow import await_worker
from tfleet.client.rollout.plan_store import PlanStore
from tfleet.discovery.options import take_options
from tfleet.discovery.plan import STICKY_HEADER, STICKY_REQUEST_ID

_NO_STICKY: Final = "none"


def _sticky(_ctx: click.Context, _param: click.Parameter, text: str | None) -> str | None:
    return "" if text == _NO_STICKY else text


@click.command()
@click.argument("name")
@click.argument("version")
@click.option(
    "--percent",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    allow_from_autoenv=False,
    help="Share of the requests that VERSION gets, of those that name no version. 100 sends it all of them; "
    f"the old version stays the stable one until `tfleet promote`.  [default: {DEFAULT_PERCENT:g}, or 0 with "
    "--mirror; of a running rollout what it has]",
)
@click.option(
    "--mirror",
    type=click.FloatRange(0, 100),
    metavar="PERCENT",
    allow_from_autoenv=False,
    help="Send VERSION a copy of this share of the requests that the stable version answers. Its answers are "
    "compared and counted, and no client gets them: `tfleet models` shows how many agree. Proxies in p2p "
    "mode mirror nothing.  [default: 0; of a running rollout what it has]",
)
@click.option(
    "--label",
    metavar="LABEL",
    allow_from_autoenv=False,
    help="Let /models/NAME/labels/LABEL mean VERSION, too. `tfleet label` does only this.",
)
@click.option(
    "--sticky",
    metavar="KEY",
    allow_from_autoenv=False,
    callback=_sticky,
    help=f"Requests with the same key get the same version: {STICKY_REQUEST_ID}, {STICKY_HEADER}NAME or "
    f"{_NO_STICKY}.  [default: what the plan has, else {_NO_STICKY}]",
)
@click.option(
    "--auto-rollback/--no-auto-rollback",
    default=None,
    allow_from_autoenv=False,
    help="Let the proxies roll VERSION back if it fails more often than the stable version.  [default: "
    "auto-rollback; of a running rollout what it has]",
)
@click.option(
    "--wait",
    is_flag=True,
    allow_from_autoenv=False,
    help="Wait until a worker of VERSION is ready, for at most --timeout.",
)
@plan_change_options
def rollout(*, name: str, version: str, wait: bool, **values: Any) -> None:
    """Send a share of the requests for the model NAME to VERSION, or change the share it has.

    Workers with VERSION have to run beside those of the version that serves now, which becomes the stable
    version and gets the rest. Start them after `tfleet rollout NAME STABLE`, or while `tfleet rollout NAME
    VERSION --wait` runs: both write a plan that keeps the stable version. Without a plan, a new version takes
    over as soon as it has as many ready workers.

    For the stable version itself the command sets a label or --sticky; for a model without a plan it writes
    one, in which this version gets all requests.

    The plan is kept in the registry, and the proxies follow it. If somebody else has changed it meanwhile,
    nothing of theirs is overwritten. The command ends when each registered proxy shows the new plan.

    \b
    Examples:
      tfleet rollout flowers 4                # 10 % of the requests
      tfleet rollout flowers 4 --wait         # as soon as a worker of version 4 is ready
      tfleet rollout flowers 4 --mirror 5     # none of them, but copies of 5 %
      tfleet rollout flowers 4 --percent 50
      tfleet rollout flowers 4 --sticky header:X-Session
      tfleet rollout flowers 4 --percent 0 --label next

    \b
    Exit code:
      0    each registered proxy shows the plan; with --dry-run, nothing was written
      1    the registry did not answer, a proxy did not show the plan in time, or somebody changed the plan
      2    wrong usage, no such model, or no ready worker of VERSION
      130  interrupted; a plan that was written stays
    """
    asked = take_options(RolloutRequest, {**values, "version": version})
    dry_run, timeout_s = values["dry_run"], values["timeout_s"]

    async def wait_for_worker(plans: PlanStore, screen: PlanScreen) -> None:
        report = partial(screen.show_awaited, version=version)
        await await_worker(plans, name, asked, screen.say, report, timeout_s=timeout_s)

    decide = partial(changes.rollout, asked=asked, await_worker=wait and dry_run)
    run_change("rollout", name, values, decide, wait_for_worker if wait else None)


@click.command()
@click.argument("name")
@plan_change_options
def promote(*, name: str, **values: Any) -> None:
    """Make the canary of the model NAME its stable version, which gets all requests.

    Workers with the old version go on running: `tfleet rollback NAME` goes back to it while they do.

    \b
    Examples:
      tfleet promote flowers
      tfleet promote flowers --dry-run --json | jq .plan

    \b
    Exit code:
      0    each registered proxy shows the plan; with --dry-run, nothing was written
      1    the registry did not answer, a proxy did not show the plan in time, or somebody changed the plan
      2    wrong usage, no such model, no canary, or none with a ready worker
      130  interrupted; a plan that was written stays
    """
    run_change("promote", name, values, changes.promote)


@click.command()
@click.argument("name")
@click.option(
    "--reason",
    metavar="TEXT",
    allow_from_autoenv=False,
    help="Why, in one line: `tfleet models` shows it.  [default: version VERSION was rolled back by hand]",
)
@click.option(
    "--to",
    metavar="VERSION",
    allow_from_autoenv=False,
    help="The version that shall get all requests: the stable or the previous one. Needed for a second "
    "rollback in a row, and if it is so already nothing is written.",
)
@plan_change_options
def rollback(*, name: str, reason: str | None, to: str | None, **values: Any) -> None:
    """Send no requests for the model NAME to its canary any more; without a canary, go back to the previous
    version.

    If the last change was a rollback, by somebody else or by the proxies, the command refuses to go back once
    more: say with --to which version you mean.

    \b
    Examples:
      tfleet rollback flowers
      tfleet rollback flowers --to 3
      tfleet rollback flowers --reason 'labels are wrong'

    \b
    Exit code:
      0    each registered proxy shows the plan; with --dry-run, nothing was written
      1    the registry did not answer, a proxy did not show the plan in time, or somebody changed the plan
      2    wrong usage, no such model, nothing to roll back to, or rolled back already
      130  interrupted; a plan that was written stays
    """
    run_change("rollback", name, values, partial(changes.rollback, reason=reason, to=to))
