import random
from collections.abc import Callable

import pytest

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.httpd.http1.request import RequestHead, read_request_head
from tfleet.proxy.balancing.member import PoolMember, Probe, WorkerState
from tfleet.proxy.balancing.version_tries import Tries
from tfleet.proxy.balancing.versions import ModelVersion
from tfleet.proxy.balancing.worker_table import WorkerTable
from tfleet.proxy.forwarding.errors import (
    AttemptFailedError,
    DeclinedError,
    HungUpError,
    LateError,
    StaleConnectionError,
    TicketRefusedError,
    UnreachableError,
)
from tfleet.proxy.forwarding.failure_verdict import report_failure, report_silence, suspicious_body
from tfleet.proxy.forwarding.poison_bodies import body_digest
from tfleet.proxy.forwarding.replay_buffer import ReplayBudget, RequestBody


def fleet_of(workers: int) -> WorkerTable:
    table = WorkerTable(rng=random.Random(1))
    table.apply_instances([Instance(f"w{number}", Address("h", number + 1)) for number in range(workers)])
    table.record_probes({f"w{number}": (Probe.READY, "") for number in range(workers)})
    return table


def one_of(table: WorkerTable) -> PoolMember:
    return table.pool.members["w0"]


def head(*lines: str) -> RequestHead:
    return read_request_head("\r\n".join(["POST / HTTP/1.1", "Host: x", *lines, ""]).encode())


def upload(body: bytes, *, kept_bytes: int = 100) -> RequestBody:
    found = RequestBody(ReplayBudget(kept_bytes, kept_bytes), chunked=False)
    found.add(body)
    found.ended = True
    return found


MAY_BE_THE_BODY: dict[str, tuple[AttemptFailedError, bool]] = {
    "hangs up": (HungUpError("it ended"), True),
    "is silent with the body": (LateError("makes no progress", had_body=True), True),
    "is silent without it": (LateError("makes no progress"), False),
    "breaks off with the body": (UnreachableError("it broke off", had_body=True), True),
    "breaks off without it": (UnreachableError("it broke off"), False),
    "ends a kept connection with the body": (StaleConnectionError("it ended", had_body=True), True),
    "ends a kept connection without it": (StaleConnectionError("it ended"), False),
    "refuses": (UnreachableError("can't connect"), False),
    "declines": (DeclinedError(503), False),
    "has too much to do": (DeclinedError(429), False),
    "takes no ticket": (TicketRefusedError("asks for a ticket"), False),
}


@pytest.mark.parametrize(("error", "may_be"), MAY_BE_THE_BODY.values(), ids=MAY_BE_THE_BODY.keys())
def test_some_failures_make_a_body_suspect(error: AttemptFailedError, may_be: bool) -> None:
    table = fleet_of(1)
    found = suspicious_body(table, one_of(table), error, head(), upload(b"image"))
    assert found == (body_digest([b"image"], b"") if may_be else b"")


def test_a_stopping_workers_failure_suspects_no_body() -> None:
    table = fleet_of(1)
    table.record_not_ready(one_of(table), "answers 503")
    assert suspicious_body(table, one_of(table), HungUpError("it ended"), head(), upload(b"image")) == b""


def test_the_digest_leaves_out_the_forms_boundary() -> None:
    table = fleet_of(1)

    def found(boundary: str) -> bytes:
        form = head(f"content-Type:multipart/form-data; boundary={boundary}")
        body = upload(f"--{boundary} image --{boundary}--".encode())
        return suspicious_body(table, one_of(table), HungUpError("it ended"), form, body)

    assert found("xx") == found("yyyy") != b""


def test_a_body_that_is_not_kept_is_known_by_its_length() -> None:
    table = fleet_of(1)

    def found(body: bytes) -> bytes:
        return suspicious_body(
            table, one_of(table), HungUpError("it ended"), head(), upload(body, kept_bytes=0)
        )

    assert found(b"image") == found(b"other") != found(b"images")


def _out(table: WorkerTable) -> bool:
    return one_of(table).state is not WorkerState.READY


def _doubted(table: WorkerTable) -> bool:
    return bool(table.suspects()) and not _out(table)


def _nothing(table: WorkerTable) -> bool:
    return not table.suspects() and not _out(table)


JUDGED: dict[str, tuple[AttemptFailedError, Callable[[WorkerTable], bool]]] = {
    "hangs up": (HungUpError("it ended"), _doubted),
    "is silent with the body": (LateError("makes no progress", had_body=True), _doubted),
    "is silent without it": (LateError("makes no progress"), _doubted),
    "breaks off in its answer": (UnreachableError("it broke off", had_body=True), _out),
    "refuses": (UnreachableError("can't connect"), _out),
    "ends a kept connection with the body": (StaleConnectionError("it ended", had_body=True), _doubted),
    "ends a kept connection without it": (StaleConnectionError("it ended"), _nothing),
    "declines": (DeclinedError(503), _out),
    "has too much to do": (DeclinedError(429), _nothing),
    "takes no ticket": (TicketRefusedError("asks for a ticket"), _out),
}


@pytest.mark.parametrize(("error", "wanted"), JUDGED.values(), ids=JUDGED.keys())
def test_each_failure_ejects_or_probes_its_worker(
    error: AttemptFailedError, wanted: Callable[[WorkerTable], bool]
) -> None:
    table = fleet_of(2)
    report_failure(table, one_of(table), error, b"body")
    assert wanted(table)


@pytest.mark.parametrize(
    ("target", "silent_s", "chosen", "failed"),
    [
        ("/predict", 0.2, False, 1),
        ("/models/m/versions/2", 0.2, False, 1),
        ("/predict", 1.0, True, 1),
        ("/models/m", 1.0, True, 1),
        ("/predict", 0.9, True, 0),
        ("/models/m/versions/2", 9.0, True, 0),
        ("/models/m/labels/canary", 9.0, True, 0),
        ("/v1/models/m:predict", 1.0, True, 1),
        ("/v1/models/m/versions/2:predict", 9.0, True, 0),
        ("/v2/models/m/versions/2/infer", 9.0, True, 0),
    ],
)
def test_no_client_makes_a_version_fail(target: str, silent_s: float, chosen: bool, failed: int) -> None:
    """`chosen`: the client chose the deadline. Without that rule it could roll a canary back."""
    table = fleet_of(1)
    asked = read_request_head(f"POST {target} HTTP/1.1\r\nHost: x\r\n".encode())
    report_silence(table, one_of(table), asked, silent_s, chosen=chosen)
    assert table.tries.of(ModelVersion("", "")) == Tries(0, failed)
