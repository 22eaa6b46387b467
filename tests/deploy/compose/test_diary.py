from __future__ import annotations

import json
from datetime import UTC, datetime

from tfleet.deploy.compose.events import ContainerEvent
from tfleet.deploy.compose.policy import ScalingDecision
from tfleet.deploy.compose.report import JsonEventLog, TextEventLog

NOW = datetime(2025, 10, 9, 8, 7, 6, 500_000, UTC)
DECISION = ScalingDecision(workers=2, unknown=1, busy=0.9, queue=3, wanted=4, because="for a reason")
READY = ContainerEvent("fleet-worker-2", "ready", seconds=5.25)
FAILED = ContainerEvent("fleet-worker-3", "failed", error="said \x1b[31mno\nand no")


def test_the_text_log_has_a_line_with_the_time() -> None:
    lines: list[str] = []
    diary = TextEventLog(lines.append, lambda: NOW)
    diary.decided(DECISION)
    diary.undecided("the proxy is away")
    diary.news(READY)
    diary.news(FAILED)
    diary.ended(())
    diary.ended(("fleet-worker-2", "fleet-worker-3"))
    assert {line[:21] for line in lines} == {"2025-10-09 08:07:06  "}
    assert [line[21:] for line in lines] == [
        "workers 2 (1 unknown), busy 0.90, 3 waiting: 4 wanted, for a reason",
        "no decision: the proxy is away",
        "fleet-worker-2 is ready, after 5.2 s",
        "fleet-worker-3: said \\x1b[31mno\\nand no",
        "stopped",
        "stopped; those that drain do so by themselves and stay, stopped: fleet-worker-2, fleet-worker-3",
    ]


def test_for_programs_it_is_an_object_a_line() -> None:
    lines: list[str] = []
    diary = JsonEventLog(lines.append, lambda: NOW)
    diary.decided(DECISION)
    diary.undecided("the proxy is away")
    diary.news(READY)
    diary.ended(("fleet-worker-2",))
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
