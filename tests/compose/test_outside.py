"""p2p for clients outside of the containers' network: docker-compose.p2p.yml, on the engine's own machine."""

import json
from collections.abc import Iterator
from typing import Any

import docker
import pytest
import requests
from docker.errors import ContainerError
from docker.models.containers import Container

from tests.support.compose_project import Project, project
from tests.support.graphs import write_model
from tests.support.tfleet_up import PHOTOS, curl
from tests.support.waiting import eventually_sync
from tfleet.client import FleetClient

CAT = PHOTOS / "cat.jpg"
_ASK = "import urllib.request as r, sys; print(r.urlopen(sys.argv[1]).read().decode().strip())"
_SOCKET = "/var/run/docker.sock"


@pytest.fixture(scope="module")
def outside(
    engine: docker.DockerClient, images: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Project]:
    """Two workers, each published under any free port."""
    models = tmp_path_factory.mktemp("models")
    models.chmod(0o755)
    write_model(models / "colours" / "1")
    variables = {"MODELS": str(models), "TFLEET_MODEL": "/models/colours", "WORKERS": "2"}
    with project(engine, "docker-compose.p2p.yml", **images, **variables) as running:
        running.up(workers=2)
        running.settled(2)
        yield running


def _published(worker: Container) -> str:
    worker.reload()
    (bound, *_) = worker.attrs["NetworkSettings"]["Ports"]["8000/tcp"]
    return f"127.0.0.1:{bound['HostPort']}"


def _by_address(fleet: Project) -> dict[str, str]:
    """The ids of the workers by the address that leads to them from here."""
    return {_published(each): fleet.worker_id(each) for each in fleet.containers("worker")}


def test_the_documented_curl_works_from_outside(
    outside: Project,
) -> None:
    """It reaches the worker that the proxy named."""
    address = outside.url.removeprefix("http://")
    line = 'curl -v -XPOST $(curl -s localhost:12480) -F "data=@cat.jpg"'
    assert json.loads(curl(line.replace("localhost:12480", address)))[0][1] > 0
    known = _by_address(outside)
    for _ in range(4):
        named = requests.get(outside.url, headers={"Accept": "application/json"}, timeout=10).json()
        assert known[named["address"]] == named["id"]
        worker = requests.post(f"http://{named['address']}", files={"data": CAT.read_bytes()}, timeout=10)
        assert worker.headers["X-Worker"] == named["id"]


def test_an_image_sent_to_the_proxy_goes_to_a_published_port(outside: Project) -> None:
    answer = requests.post(outside.url, files={"data": b"x"}, allow_redirects=False, timeout=10)
    assert answer.headers["Location"].removeprefix("http://").rstrip("/") in _by_address(outside)


def test_the_client_library_sends_straight_to_the_workers(outside: Project) -> None:
    with FleetClient(outside.url, p2p=True) as client:
        answered = {client.classify(CAT).worker for _ in range(4)}
    assert answered == set(_by_address(outside).values())
    metrics = requests.get(f"{outside.url}/metrics", timeout=10).text.splitlines()
    assert "tfleet_proxy_received_bytes_total 0.0" in metrics


def test_clients_inside_get_the_inside_address(outside: Project) -> None:
    worker = outside.containers("worker")[0]
    inside = set(outside.addresses().values())
    for service, url in (
        (worker, "http://proxy:12480/"),
        (outside.containers("proxy")[0], "http://localhost:12480/"),
    ):
        said = service.exec_run(["python", "-c", _ASK, url]).output.decode().strip()
        assert said in inside
    assert worker.exec_run(["python", "-c", _ASK, "http://proxy:12480/?address=wan"]).output.startswith(
        b"proxy:"
    )


def test_workers_see_nothing_of_the_engine_but_ports(outside: Project) -> None:
    worker = outside.containers("worker")[0]
    said = worker.exec_run(["python", "-c", _ASK, f"http://engine:2375/containers/{worker.id}/json"]).output
    assert json.loads(said).keys() == {"Id", "Name", "NetworkSettings"}
    refused = worker.exec_run(["python", "-c", _ASK, "http://engine:2375/containers/json"])
    assert refused.exit_code != 0
    assert b"404" in refused.output


def test_a_restarted_worker_registers_its_new_port(outside: Project) -> None:
    worker = outside.containers("worker")[0]
    worker.restart(timeout=10)
    outside.settled(2)
    eventually_sync(
        lambda: (outside.addresses("wan").get(outside.worker_id(worker)) or "").rpartition(":")[2],
        wanted=lambda port: port == _published(worker).rpartition(":")[2],
        timeout_s=30,
    )
    outside.settled(2)
    with FleetClient(outside.url, p2p=True) as client:  # a newcomer gets its share little by little
        eventually_sync(lambda: client.classify(CAT).worker, wanted=outside.worker_id(worker).__eq__)


def test_all_logs_are_json_lines(outside: Project) -> None:
    """The last test: it stops the socket proxy, which keeps its standard output until it ends."""
    (socket_proxy,) = outside.containers("engine")
    socket_proxy.stop()
    for service in ("consul", "proxy", "worker", "engine"):
        assert outside.lines(service), service


def _refusal(engine: docker.DockerClient, images: dict[str, str], **options: Any) -> str:
    command = ["--registry", "static:", "--advertise-wan", "docker"]
    with pytest.raises(ContainerError) as raised:
        engine.containers.run(
            images["WORKER_IMAGE"], command, remove=True, stderr=True, stdout=False, read_only=True, **options
        )
    assert raised.value.exit_status == 2
    (line,) = raised.value.stderr.decode().strip().splitlines()
    assert line.startswith("tfleet worker: --advertise-wan: ")
    return str(line)


def test_a_missing_setting_is_one_line_with_a_remedy(
    engine: docker.DockerClient, images: dict[str, str]
) -> None:
    mounted = {_SOCKET: {"bind": _SOCKET, "mode": "ro"}}
    assert "there is no Docker socket at /var/run/docker.sock: mount it" in _refusal(engine, images)
    assert "user 10001 may not use /var/run/docker.sock, which belongs to group" in _refusal(
        engine, images, volumes=mounted
    )
    assert 'port 8000 of the container unpublished is not published: add ports: ["8000"]' in _refusal(
        engine, images, volumes=mounted, user="0:0", name="unpublished", hostname="whatever"
    )
    assert "Docker does not answer at tcp://127.0.0.1:9: " in _refusal(
        engine, images, environment={"DOCKER_HOST": "tcp://127.0.0.1:9"}
    )


def test_down_leaves_nothing(outside: Project) -> None:
    """The last one: nothing is up after it."""
    outside.compose("down")
    assert outside.left() == []
