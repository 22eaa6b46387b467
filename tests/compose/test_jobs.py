"""The profile `jobs`: a Redis in the fleet's network. The model is small, and workers ask for tickets."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
import requests

from tests.support.compose_project import Project, project
from tests.support.pictures import picture
from tests.support.redis_image import redis_image
from tests.support.waiting import eventually_sync
from tfleet.contract.ticket_keys import read_keys

IMAGE = picture("red")
HOOKS = "http://127.0.0.1:9000/"
"""A receiver of callbacks in the proxy's own container, which keeps what it gets."""
_RECEIVER = """
import http.server
class Receiver(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open("/tmp/got", "wb") as file:
            file.write(self.headers["X-Tfleet-Signature"].encode() + b"\\n" + body)
        self.send_response(204)
        self.end_headers()
http.server.HTTPServer(("127.0.0.1", 9000), Receiver).serve_forever()
"""


@pytest.fixture(scope="module")
def callback_key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("callbacks") / "callback.key"
    path.write_text("ab" * 32 + "\n")
    path.chmod(0o444)
    return path


@pytest.fixture(scope="module")
def fleet(
    engine: docker.DockerClient, images: dict[str, str], small_model: dict[str, str], callback_key: Path
) -> Iterator[Project]:
    """Two workers, as .env has it for jobs."""
    with redis_image(engine) as redis:
        settings = {
            "COMPOSE_PROFILES": "jobs",
            "TFLEET_JOBS": "redis://redis:6379",
            "REDIS_IMAGE": redis,
            "TFLEET_JOB_VISIBILITY": "1",
            "TFLEET_JOB_CALLBACK_ALLOW": HOOKS,
            "CALLBACK_KEY_FILE": str(callback_key),
        }
        with project(engine, **images, **small_model, **settings) as running:
            running.up(workers=2)
            running.settled(2)
            yield running


def submit(fleet: Project, **headers: str) -> str:
    """The path of a job that was accepted."""
    answer = requests.post(f"{fleet.url}/jobs", data=IMAGE, headers=headers, timeout=10)
    assert answer.status_code == 202, answer.text
    return answer.headers["Location"]


def answer_of(fleet: Project, path: str) -> Any:
    """The answer of a job, as soon as it is there."""

    def ask() -> requests.Response | None:
        try:
            return requests.get(f"{fleet.url}{path}?wait=20", timeout=30)
        except requests.ConnectionError:
            return None

    found = eventually_sync(ask, wanted=lambda got: got is not None and got.status_code == 200, timeout_s=60)
    assert found is not None
    return found.json()


def test_a_job_is_answered_like_a_request(fleet: Project) -> None:
    direct = requests.post(f"{fleet.url}/predict", data=IMAGE, timeout=10).json()
    assert answer_of(fleet, submit(fleet))["predictions"] == direct["predictions"]
    queued = requests.post(f"{fleet.url}/predict?queue=1", data=IMAGE, timeout=10)
    assert (queued.status_code, queued.json()["predictions"]) == (200, direct["predictions"])


def test_a_callback_is_signed_with_the_mounted_key(fleet: Project, callback_key: Path) -> None:
    (proxy,) = fleet.containers("proxy")
    proxy.exec_run(["python", "-c", _RECEIVER], detach=True)
    job_id = submit(fleet, **{"X-Callback-Url": f"{HOOKS}done"}).rpartition("/")[2]

    def got() -> bytes:
        code, output = proxy.exec_run(["cat", "/tmp/got"])
        return bytes(output) if code == 0 else b""

    # A receiver that is not up yet gets it with the second try.
    signature, _, body = eventually_sync(got, timeout_s=40).partition(b"\n")
    moment, mac = (part.partition("=")[2] for part in signature.decode().split(","))
    key = read_keys(callback_key, "a test").secrets[0]
    assert hmac.new(key, f"{moment}.".encode() + body, hashlib.sha256).hexdigest() == mac
    assert (json.loads(body)["id"], json.loads(body)["status"]) == (job_id, 200)


def test_jobs_outlive_a_worker_and_redis(fleet: Project) -> None:
    worker, (redis,) = fleet.containers("worker")[0], fleet.containers("redis")
    settled = submit(fleet)
    answer = answer_of(fleet, settled)
    worker.kill()
    assert answer_of(fleet, submit(fleet))["predictions"] == answer["predictions"]
    redis.kill()
    redis.start()
    assert answer_of(fleet, settled) == answer, "it was on disk"
    assert answer_of(fleet, submit(fleet))["predictions"] == answer["predictions"]


def test_redis_runs_as_the_others_do(fleet: Project) -> None:
    (redis,) = fleet.containers("redis")
    described = redis.attrs
    assert described["Config"]["User"] == "999:1000"
    assert described["HostConfig"]["ReadonlyRootfs"]
    assert described["HostConfig"]["CapDrop"] == ["ALL"]
    assert described["NetworkSettings"]["Ports"] == {}, "it is not published"
