from __future__ import annotations

import json
from datetime import UTC, datetime

from tests.deploy.compose.fake_engine import container
from tfleet.deploy.compose.events import ContainerEvent
from tfleet.deploy.compose.plan import plan
from tfleet.deploy.compose.policy import ScalingDecision
from tfleet.deploy.compose.report import DryRun, JsonEventLog, Result, TextEventLog

NOW = datetime(2025, 10, 9, 8, 7, 6, 500_000, UTC)
DECISION = ScalingDecision(workers=2, unknown=1, busy=0.9, queue=3, wanted=4, because="for a reason")
READY = ContainerEvent("fleet-worker-2", "ready", seconds=5.25)
FAILED = ContainerEvent("fleet-worker-3", "failed", error="said \x1b[31mno\nand no")


def test_the_text_log_has_a_line_with_the_time() -> None:
    lines: list[str] = []
    events = TextEventLog(lines.append, lambda: NOW)
    events.decided(DECISION)
    events.undecided("the proxy is away")
    events.container_event(READY)
    events.container_event(FAILED)
    events.ended(())
    events.ended(("fleet-worker-2", "fleet-worker-3"))
    assert {line[:21] for line in lines} == {"2025-10-09 08:07:06  "}
    assert [line[21:] for line in lines] == [
        "workers 2 (1 unknown), busy 0.90, 3 waiting: 4 wanted, for a reason",
        "no decision: the proxy is away",
        "fleet-worker-2 is ready, after 5.2 s",
        "fleet-worker-3: said \\x1b[31mno\\nand no",
        "stopped",
        "stopped; these go on draining, and stay as stopped containers: fleet-worker-2, fleet-worker-3",
    ]


def test_json_output_is_an_object_per_line() -> None:
    lines: list[str] = []
    events = JsonEventLog(lines.append, lambda: NOW)
    events.decided(DECISION)
    events.undecided("the proxy is away")
    events.container_event(READY)
    events.ended(("fleet-worker-2",))
    documents = [json.loads(line) for line in lines]
    assert {document.pop("time") for document in documents} == {"2025-10-09T08:07:06.500+00:00"}
    assert documents == [
        {
            "event": "decision",
            "workers": 2,
            "unknown": 1,
            "busy": 0.9,
            "queue": 3,
            "wanted": 4,
            "because": "for a reason",
        },
        {"event": "no-decision", "because": "the proxy is away"},
        {"event": "ready", "container": "fleet-worker-2", "seconds": 5.25, "error": ""},
        {"event": "stopped", "draining": ["fleet-worker-2"]},
    ]


TWO = [container(1), container(2)]
STOPPED = [container(1), container(2, "exited")]


def test_a_dry_run_says_what_would_be_done() -> None:
    assert DryRun(4, 1, plan(STOPPED, 4)).lines() == [
        "would start fleet-worker-2",
        "would create number 3, like fleet-worker-1",
        "would create number 4, like fleet-worker-1",
    ]
    assert DryRun(0, 2, plan(TWO, 0)).lines() == [
        "would drain fleet-worker-2 and remove it",
        "would drain fleet-worker-1",
    ]
    assert DryRun(2, 2, plan(TWO, 2)).lines() == ["nothing to do: 2 workers are there"]
    assert DryRun(4, 1, plan(STOPPED, 4)).document() == {
        "workers": 4,
        "before": 1,
        "start": ["fleet-worker-2"],
        "new": [3, 4],
        "stop": [],
    }


def test_a_good_end_is_a_line() -> None:
    assert Result(3, 1).line() == "3 workers are ready, 1 before"
    assert Result(1, 3, waited=False).line() == "1 worker is running or starting, 3 before"
    assert Result(0, 2, kept="fleet-worker-1").line() == (
        "no worker is left: requests get 503 until `tfleet scale N`; fleet-worker-1 stays, stopped, as the "
        "pattern for new workers"
    )
    assert Result(0, 0).line() == "no worker is left: requests get 503 until `tfleet scale N`"


def test_missing_workers_or_failures_are_exit_code_1() -> None:
    assert Result(3, 1).good
    assert not Result(3, 1, failures=("it was killed",)).good
    missing = Result(3, 1, missing={"fleet-worker-3": "it is gone"})
    assert not missing.good
    assert missing.errors() == ["fleet-worker-3 is not ready: it is gone"]
    assert missing.document() == {
        "workers": 3,
        "before": 1,
        "started": [],
        "stopped": [],
        "failures": [],
        "not_ready": {"fleet-worker-3": "it is gone"},
    }
