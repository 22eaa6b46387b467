from __future__ import annotations

from tests.deploy.compose.pretend import container
from tfleet.deploy.compose.plan import plan
from tfleet.deploy.compose.report import Prospect, Result

TWO = [container(1), container(2)]
STOPPED = [container(1), container(2, "exited")]


def test_a_dry_run_says_what_would_be_done() -> None:
    assert Prospect(4, 1, plan(STOPPED, 4)).lines() == [
        "would start fleet-worker-2",
        "would make number 3, like fleet-worker-1",
        "would make number 4, like fleet-worker-1",
    ]
    assert Prospect(0, 2, plan(TWO, 0)).lines() == [
        "would drain fleet-worker-2 and remove it",
        "would drain fleet-worker-1",
    ]
    assert Prospect(2, 2, plan(TWO, 2)).lines() == ["nothing to do: 2 workers are there"]
    assert Prospect(4, 1, plan(STOPPED, 4)).document() == {
        "workers": 4,
        "before": 1,
        "start": ["fleet-worker-2"],
        "new": [3, 4],
        "stop": [],
    }


def test_a_good_end_is_a_line() -> None:
    assert Result(3, 1).line() == "3 workers are ready, 1 before"
    assert Result(1, 3, waited=False).line() == "1 worker is there or starting, 3 before"
    assert Result(0, 2, kept="fleet-worker-1").line() == (
        "no worker is left: requests get 503 until `tfleet scale N`; fleet-worker-1 is kept, stopped, to "
        "make others like it"
    )
    assert Result(0, 0).line() == "no worker is left: requests get 503 until `tfleet scale N`"


def test_missing_workers_or_failures_are_exit_code_1() -> None:
    assert Result(3, 1).good
    assert not Result(3, 1, failures=("it was killed",)).good
    missing = Result(3, 1, missing={"fleet-worker-3": "it is gone"})
    assert not missing.good
    assert missing.complaints() == ["fleet-worker-3 is not ready: it is gone"]
    assert missing.document() == {
        "workers": 3,
        "before": 1,
        "started": [],
        "stopped": [],
        "failures": [],
        "not_ready": {"fleet-worker-3": "it is gone"},
    }
