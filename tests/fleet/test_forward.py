"""The fleet as a newcomer has it: `tfleet up`, on the embedded registry and on a real Consul."""

import io
import json
import re
import socket
import struct
import subprocess
import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from PIL import Image

from tests.support.consul_agent import consul_binary
from tests.support.ipv6 import needs_ipv6
from tests.support.tfleet_up import BEST, PHOTOS, Up
from tests.support.waiting import eventually_sync
from tfleet.contract.address import Address

CAT = (PHOTOS / "cat.jpg").read_bytes()


def test_up_says_what_it_started_and_prints_curl_lines(fleet: Up) -> None:
    said = eventually_sync(lambda: fleet.said, wanted=lambda text: "curl -" in text)
    assert fleet.own('curl -v -XPOST localhost:12480 -F "data=@tests/data/cat.jpg"') in said
    assert fleet.own("curl -X POST -F image=@tests/data/cat.jpg 'http://localhost:12480/predict'") in said


@needs_ipv6
def test_localhost_is_both_loopbacks(fleet: Up) -> None:
    for host in ("127.0.0.1", "::1"):
        assert fleet.curl(f"curl -s 'http://{Address(host, fleet.proxy.port)}/healthz'") == "ok\n"


def test_the_documented_curls_work_verbatim(fleet: Up) -> None:
    ranking = json.loads(fleet.curl('curl -v -XPOST localhost:12480 -F "data=@cat.jpg"'))
    assert ranking[0] == ["tiger cat", pytest.approx(0.380, abs=0.01)]
    document = json.loads(fleet.curl("curl -X POST -F image=@cat.jpg 'http://localhost:12480/predict'"))
    assert document["success"] is True
    assert document["predictions"][0]["label"] == "tiger cat"
    ranking = json.loads(fleet.curl('curl -v -XPOST $(curl -s localhost:12480/worker) -F "data=@cat.jpg"'))
    assert ranking[0][0] == "tiger cat"


@pytest.mark.parametrize("photo", BEST)
def test_each_photograph_gets_its_label(fleet: Up, photo: str) -> None:
    label, probability = BEST[photo]
    best = json.loads(fleet.curl(f'curl -s -XPOST localhost:12480 -F "data=@{photo}.jpg"'))[0]
    assert best == [label, pytest.approx(probability, abs=0.01)]


def test_consuls_own_tool_shows_the_workers(fleet: Up, registry: tuple[str, Address]) -> None:
    command = [consul_binary(), "catalog", "services", f"-http-addr={registry[1]}"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert "tfleet" in listed


def test_both_workers_get_an_even_share(fleet: Up) -> None:
    answers = [requests.post(fleet.url, files={"data": CAT}, timeout=30) for _ in range(20)]
    shares = Counter(answer.headers["X-Worker"] for answer in answers)
    assert list(shares.values()) == [10, 10]


def _png_of(width: int, height: int) -> bytes:
    """An honest PNG of one colour: a few kB for any size, because its rows compress to nothing."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    row = bytes(1 + (width + 7) // 8)
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(row) for _ in range(2000)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


BAD: dict[str, tuple[dict[str, Any], int]] = {
    "no file": ({}, 400),
    "an empty file": ({"files": {"data": b""}}, 400),
    "a text named .jpg": ({"files": {"data": ("cat.jpg", b"I am a text")}}, 400),
    "a truncated JPEG": ({"files": {"data": CAT[:15_000]}}, 400),
    "a PNG of 50,000 x 50,000": ({"files": {"data": _png_of(50_000, 50_000)}}, 413),
    "a body over the limit": ({"data": bytes(40_000_000), "headers": {"Content-Type": "image/jpeg"}}, 413),
    "a broken multipart body": (
        {"data": b"--x\r\nContent", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
        400,
    ),
}


def _bad(fleet: Up, method: str = "POST", path: str = "/", **sent: Any) -> requests.Response:
    return requests.request(method, fleet.url + path, timeout=30, **sent)


def _resident_kb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    assert found
    return int(found[1])


def _is_problem(answer: requests.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["success"]) == (status, False)
    assert document["detail"]
    assert answer.headers["X-Request-Id"]


def test_bad_input_is_answered_and_ejects_no_worker(fleet: Up) -> None:
    assert len(BAD["a PNG of 50,000 x 50,000"][0]["files"]["data"]) < 50_000

    def one_round() -> None:
        for sent, status in BAD.values():
            for _ in range(2):  # one for each worker
                _is_problem(_bad(fleet, **sent), status)
                assert requests.post(fleet.url, files={"data": CAT}, timeout=30).json()[0][0] == "tiger cat"
        _is_problem(_bad(fleet, path="/nothing"), 404)
        _is_problem(_bad(fleet, method="DELETE"), 405)

    workers = fleet.pids("worker")
    assert len(workers) == 2
    for _ in range(3):
        one_round()  # pools, caches and the allocator take what they need once
    before = {pid: _resident_kb(pid) for pid in workers}
    for _ in range(6):
        one_round()
    grown = {pid: _resident_kb(pid) - before[pid] for pid in workers}
    # A thread that had not had its turn before takes some MB once, and there are a dozen of them.
    assert max(grown.values()) < 20_000, f"kB grown: {grown}"


def test_a_body_over_the_limit_is_refused_before_it_is_sent(fleet: Up) -> None:
    with socket.create_connection((fleet.proxy.host, fleet.proxy.port), timeout=10) as client:
        client.sendall(
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
            b"Content-Length: 40000000\r\nExpect: 100-continue\r\n\r\n"
        )
        assert client.recv(1000).startswith(b"HTTP/1.1 413 ")


def _views() -> list[bytes]:
    """32 pictures that the model tells apart: corners of the four photographs, some mirrored."""
    pictures = []
    for photo in BEST:
        with Image.open(PHOTOS / f"{photo}.jpg") as image:
            whole = image.convert("RGB")
        for left in (0, 1):
            for top in (0, 1):
                box = (left * whole.width // 4, top * whole.height // 4)
                corner = whole.crop((*box, box[0] + whole.width * 3 // 4, box[1] + whole.height * 3 // 4))
                for view in (corner, corner.transpose(Image.Transpose.FLIP_LEFT_RIGHT)):
                    encoded = io.BytesIO()
                    view.save(encoded, "JPEG")
                    pictures.append(encoded.getvalue())
    return pictures


def test_1000_requests_each_get_their_own_answer(fleet: Up) -> None:
    """At 32 connections."""
    pictures = _views()
    expected = [requests.post(fleet.url, files={"data": picture}, timeout=30).json() for picture in pictures]
    assert len({json.dumps(ranking) for ranking in expected}) == len(pictures) == 32

    def classify(connection: int) -> list[str]:
        wrong = []
        with requests.Session() as session:
            for number in range(connection, 1000, 32):
                which = number % len(pictures)
                answer = session.post(fleet.url, files={"data": pictures[which]}, timeout=60)
                if not answer.ok or not _same(answer.json(), expected[which]):
                    wrong.append(f"{number}: {answer.status_code} {answer.text[:100]}")
        return wrong

    with ThreadPoolExecutor(32) as connections:
        wrong = [line for lines in connections.map(classify, range(32)) for line in lines]
    assert wrong == []


def _same(ranking: list[list[Any]], expected: list[list[Any]]) -> bool:
    return bool(
        [label for label, _ in ranking] == [label for label, _ in expected]
        and [p for _, p in ranking] == pytest.approx([p for _, p in expected], abs=1e-4)
    )


def test_status_shows_the_workers(fleet: Up) -> None:
    shown = fleet.tfleet("status")
    for row in fleet.workers():
        assert row["address"] in shown
    assert shown.count("ready") == 2
    document = json.loads(fleet.tfleet("status --json"))
    assert [row["state"] for row in document["workers"]] == ["ready", "ready"]


def test_classify_does_a_folder(fleet: Up) -> None:
    for way in ("", "--p2p"):
        lines = [json.loads(line) for line in fleet.tfleet(f"classify --json {way} .").splitlines()]
        found = {Path(line["file"]).stem: line["predictions"][0]["label"] for line in lines}
        assert found == {photo: label for photo, (label, _) in BEST.items()}
