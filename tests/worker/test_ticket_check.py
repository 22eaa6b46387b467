import os
import re
from pathlib import Path
from typing import Any

import pytest
import requests
from structlog.testing import capture_logs

from tests.support.running_worker import serving
from tests.worker.api.test_app import problem
from tfleet.contract.address import Address
from tfleet.contract.ticket import LIFETIME_S, TicketKeys, mint
from tfleet.contract.ticket_keys import KeyFile
from tfleet.worker.inference import Classifier
from tfleet.worker.lifecycle import LifecycleState
from tfleet.worker.rejection import Rejection
from tfleet.worker.ticket_check import TicketCheck

pytestmark = pytest.mark.process


NOW_S = 1_760_000_000
KEY = "k" * 64
KEYS = TicketKeys((KEY.encode(),))
GOOD = mint(KEYS, "cats", NOW_S + LIFETIME_S)
EXPIRED = mint(KEYS, "cats", NOW_S - 60)
TOO_LONG = mint(KEYS, "cats", NOW_S + 1000)
FOR_THE_MODEL = mint(KEYS, "cats", NOW_S + LIFETIME_S, "lite0")
FOR_ANOTHER_MODEL = mint(KEYS, "cats", NOW_S + LIFETIME_S, "lite1")
STRANGERS = mint(TicketKeys((b"x" * 64,)), "cats", NOW_S + LIFETIME_S)
CAT = Path("tests/data/cat.jpg").read_bytes()


@pytest.fixture
def gate(tmp_path: Path) -> TicketCheck:
    path = tmp_path / "tickets.key"
    path.touch(mode=0o600)
    path.write_text(KEY)
    return TicketCheck(KeyFile(path), "cats", "lite0", clock=lambda: NOW_S)


@pytest.mark.parametrize(
    ("header", "query", "judged"),
    [
        (GOOD, "", None),
        (None, f"ticket={GOOD}", None),
        (FOR_THE_MODEL, "", None),
        (None, f"ticket={FOR_THE_MODEL}", None),
        (FOR_ANOTHER_MODEL, "", Rejection.TICKET_WRONG_SIGNATURE),
        (None, f"top=1&ticket={GOOD}&x=y", None),
        (GOOD, f"ticket={STRANGERS}", None),
        (STRANGERS, f"ticket={GOOD}", Rejection.TICKET_WRONG_SIGNATURE),
        (None, f"ticket={STRANGERS}&ticket={GOOD}", Rejection.TICKET_WRONG_SIGNATURE),
        ("", f"ticket={GOOD}", Rejection.TICKET_MISSING),
        (None, "", Rejection.TICKET_MISSING),
        (None, "ticket", Rejection.TICKET_MISSING),
        (None, "ticket=", Rejection.TICKET_MISSING),
        (None, f"tickets={GOOD}&xticket={GOOD}&Ticket={GOOD}", Rejection.TICKET_MISSING),
        ("please", "", Rejection.TICKET_MALFORMED),
        (EXPIRED, "", Rejection.TICKET_EXPIRED),
        (TOO_LONG, "", Rejection.TICKET_TOO_LONG),
    ],
)
def test_the_header_ticket_wins_over_the_query_ticket(
    gate: TicketCheck, header: str | None, query: str, judged: Rejection | None
) -> None:
    assert gate(header, query) is judged


def test_keys_that_have_changed_are_used(gate: TicketCheck, tmp_path: Path) -> None:
    path = tmp_path / "tickets.key"
    path.write_text("x" * 64)
    os.utime(path, (1, 1))
    gate.refresh()
    assert gate(STRANGERS, "") is None
    assert gate(GOOD, "") is Rejection.TICKET_WRONG_SIGNATURE


@pytest.fixture
def worker(classifier: Classifier, gate: TicketCheck) -> Any:
    with serving(classifier, check_ticket=gate) as (address, _):
        yield address


def post(worker: Address, ticket: str | None, **options: Any) -> requests.Response:
    headers = {"Content-Type": "image/jpeg"} | ({} if ticket is None else {"X-Ticket": ticket})
    return requests.post(f"{worker.url}/predict", data=CAT, headers=headers, timeout=30, **options)


@pytest.mark.parametrize(
    ("ticket", "reason", "said"),
    [
        (None, "ticket-missing", r"GET /worker.*X-Ticket: TICKET or \?ticket=TICKET"),
        ("please", "ticket-malformed", "is not a ticket"),
        (STRANGERS, "ticket-wrong-signature", "another key.*--ticket-key-file or --service"),
        (FOR_ANOTHER_MODEL, "ticket-wrong-signature", "another service or model.*get a new one"),
        (EXPIRED, "ticket-expired", "has expired, 60 s after.*get a new one from the proxy"),
        (TOO_LONG, "ticket-too-long", "clocks .* differ by more than 10 s"),
    ],
)
def test_a_bad_ticket_is_explained_counted_and_logged(
    worker: Address, ticket: str | None, reason: str, said: str
) -> None:
    with capture_logs() as logs:
        answer = post(worker, ticket)
    assert re.search(said, problem(answer, 401))
    assert answer.headers["WWW-Authenticate"] == "Tfleet-Ticket"
    assert answer.headers["X-Worker"] == "w1"
    text = requests.get(f"{worker.url}/metrics", timeout=30).text.splitlines()
    assert f'tfleet_worker_rejected_total{{reason="{reason}"}} 1.0' in text
    assert [(line["status"], line["rejected"]) for line in logs if line["event"] == "request"] == [
        (401, reason)
    ]


def test_a_valid_ticket_is_served(worker: Address) -> None:
    with capture_logs() as logs:
        assert post(worker, GOOD).json()["predictions"][0]["label"] == "tiger cat"
        assert post(worker, None, params={"ticket": GOOD, "top": 1}).json()["success"] is True
    assert not any("rejected" in line for line in logs)


def asked_to_leave(worker: Address, headers: dict[str, str], query: str = "") -> requests.Response:
    return requests.post(f"{worker.url}/drain?worker=w1{query}", headers=headers, timeout=30)


@pytest.mark.parametrize(("header", "query"), [({"X-Ticket": GOOD}, ""), ({}, f"&ticket={GOOD}")])
def test_a_drain_needs_a_valid_ticket(
    classifier: Classifier, gate: TicketCheck, header: dict[str, str], query: str
) -> None:
    with serving(classifier, check_ticket=gate) as (worker, lifecycle):
        for refused in ({}, {"X-Ticket": STRANGERS}):
            answer = asked_to_leave(worker, refused)
            assert "GET /worker" in problem(answer, 401)
            assert answer.headers["WWW-Authenticate"] == "Tfleet-Ticket"
            assert lifecycle.state is LifecycleState.READY
        assert asked_to_leave(worker, header, query).status_code == 202
        assert lifecycle.state is LifecycleState.DRAINING


@pytest.mark.parametrize("path", ["/", "/healthz", "/readyz", "/metrics", "/worker"])
def test_other_requests_need_no_ticket(worker: Address, path: str) -> None:
    assert requests.get(worker.url + path, timeout=30).status_code == 200
