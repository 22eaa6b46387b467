from __future__ import annotations

import pytest

from tfleet.deploy.local.preload.messages import ForkAnswer, ForkOrder, changed_options

BASE = {"PATH": "/bin", "OMP_NUM_THREADS": "1", "TFLEET_CPUS": "2"}


def test_messages_arrive_as_they_were_sent() -> None:
    order = ForkOrder(("python", "-m", "tfleet"), ("worker", "--model", "ü x"), 7, {"A": "1", "B": None})
    assert ForkOrder.decode(order.encode()) == order
    for answer in (ForkAnswer(), ForkAnswer(12), ForkAnswer(why_not="no room")):
        assert ForkAnswer.decode(answer.encode()) == answer


@pytest.mark.parametrize(
    ("wanted", "changed"),
    [
        (BASE, {}),
        (BASE | {"TFLEET_CPUS": "1"}, {"TFLEET_CPUS": "1"}),
        (BASE | {"TFLEET_MAX_QUEUE": "9"}, {"TFLEET_MAX_QUEUE": "9"}),
        ({"PATH": "/bin", "OMP_NUM_THREADS": "1"}, {"TFLEET_CPUS": None}),
        (BASE | {"OMP_NUM_THREADS": "2"}, None),
        (BASE | {"TF_ENABLE_ONEDNN_OPTS": "0"}, None),
        ({"OMP_NUM_THREADS": "1", "TFLEET_CPUS": "2"}, None),
    ],
)
def test_only_options_may_differ(wanted: dict[str, str], changed: dict[str, str | None] | None) -> None:
    assert changed_options(BASE, wanted) == changed
