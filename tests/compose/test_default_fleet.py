"""The README's way: `docker compose up --build --wait --scale worker=3`, and the default model."""

import json
from collections import Counter
from collections.abc import Iterator

import docker
import pytest
import requests

from tests.support.compose_project import Project, project
from tests.support.tfleet_up import PHOTOS, curl

CAT = (PHOTOS / "cat.jpg").read_bytes()


@pytest.fixture(scope="module")
def fleet(engine: docker.DockerClient, images: dict[str, str]) -> Iterator[Project]:
    with project(engine, **images) as running:
        running.up("--build", workers=3)
        yield running


def test_the_documented_curls_work(fleet: Project) -> None:
    """Word for word, but for the port: 12480 may be somebody's on this machine."""
    address = fleet.url.removeprefix("http://")
    line = 'curl -v -XPOST localhost:12480 -F "data=@cat.jpg"'
    ranking = json.loads(curl(line.replace("localhost:12480", address)))
    assert ranking[0] == ["tiger cat", pytest.approx(0.380, abs=0.01)]
    line = "curl -X POST -F image=@cat.jpg 'http://localhost:12480/predict'"
    assert (
        json.loads(curl(line.replace("localhost:12480", address)))["predictions"][0]["label"] == "tiger cat"
    )


def test_p2p_works_inside_the_network(fleet: Project) -> None:
    command = "cat > /tmp/cat.jpg && tfleet classify --p2p --json /tmp/cat.jpg"
    said = fleet.compose("exec", "-T", "proxy", "sh", "-c", command, stdin=CAT)
    assert json.loads(said)["predictions"][0]["label"] == "tiger cat"


def test_the_workers_get_an_even_share(fleet: Project) -> None:
    answers = [requests.post(fleet.url, files={"data": CAT}, timeout=30) for _ in range(12)]
    shares = Counter(answer.headers["X-Worker"] for answer in answers)
    assert list(shares.values()) == [4, 4, 4]


def test_a_worker_uses_a_thread_for_each_of_its_cpus(fleet: Project) -> None:
    (loaded,) = (
        line
        for line in fleet.lines("worker", fleet.containers("worker")[0])
        if line["event"] == "model loaded"
    )
    assert loaded["cpus"] == 1, "WORKER_CPUS, whatever the machine has"


def test_proxy_and_worker_log_the_same_request_id(fleet: Project) -> None:
    answer = requests.post(
        fleet.url, files={"data": CAT}, headers={"X-Request-Id": "a-cat-of-mine"}, timeout=30
    )
    for service in ("proxy", "worker"):
        (line,) = (each for each in fleet.lines(service) if each.get("request_id") == "a-cat-of-mine")
        assert line["worker"] == answer.headers["X-Worker"]


def test_consul_runs_unprivileged_and_writes_nothing(fleet: Project) -> None:
    status = fleet.compose("exec", "-T", "consul", "cat", "/proc/1/status")
    said = dict(line.split(":", 1) for line in status.splitlines())
    assert said["Uid"].split() == ["100"] * 4
    assert (int(said["CapBnd"], 16), said["NoNewPrivs"].strip()) == (0, "1")
    (container,) = fleet.containers("consul")
    code, said_why = container.exec_run(["touch", "/consul-was-here"])
    assert (code, b"Read-only file system" in said_why) == (1, True)
    mounted = {mount["Destination"]: mount["Type"] for mount in container.attrs["Mounts"]}
    assert "volume" not in mounted.values()


def test_down_leaves_nothing(fleet: Project) -> None:
    """The last one: nothing is up after it."""
    fleet.compose("down")
    assert fleet.left() == []
