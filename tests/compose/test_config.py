"""What compose makes of the files, without an engine."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.support.compose_project import NO_ENV_FILE
from tests.support.docker_engine import has_compose, missing
from tests.support.environment import users_environment

ROOT = Path(__file__).parents[2]


def _config(*files: str, **variables: str) -> dict[str, Any]:
    if not has_compose():
        missing("the docker command has no compose v2")
    named = [f"--file={file}" for file in files]
    run = subprocess.run(
        ["docker", "compose", *NO_ENV_FILE, *named, "config", "--format", "json"],
        cwd=ROOT,
        env={**users_environment(), **variables},
        capture_output=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(run.stdout)["services"]
    return found


def _set(service: dict[str, Any]) -> dict[str, str]:
    """The variables that a container gets."""
    return {name: value for name, value in service["environment"].items() if value is not None}


def test_unset_variables_leave_tfleets_defaults() -> None:
    services = _config("docker-compose.yml")
    given = {"TFLEET_REGISTRY": "consul://consul:8500", "TFLEET_TICKET_KEY_FILE": ""}
    assert _set(services["worker"]) == given
    of_the_proxy = {"TFLEET_ADVERTISE": "", "TFLEET_JOB_CALLBACK_KEY_FILE": ""}
    assert _set(services["proxy"]) == given | of_the_proxy, "its own: PROXY_ADVERTISE, CALLBACK_KEY_FILE"


def test_an_option_reaches_the_services_it_concerns() -> None:
    services = _config("docker-compose.yml", TFLEET_MAX_QUEUE="7", TFLEET_MODE="p2p", TFLEET_SERVICE="cats")
    assert _set(services["worker"])["TFLEET_MAX_QUEUE"] == "7"
    assert "TFLEET_MAX_QUEUE" not in _set(services["proxy"])
    assert _set(services["proxy"])["TFLEET_MODE"] == "p2p"
    assert {_set(services[name])["TFLEET_SERVICE"] for name in ("proxy", "worker")} == {"cats"}


def test_consul_settings_reach_proxy_and_workers() -> None:
    wanted = {"CONSUL_CACERT": "/run/consul/ca.pem", "CONSUL_HTTP_TOKEN_FILE": "/run/consul/token"}
    services = _config("docker-compose.yml", CONSUL_FILES="/etc/ssl", **wanted)
    for name in ("proxy", "worker"):
        assert _set(services[name]).items() >= wanted.items()
        (mount,) = (one for one in services[name]["volumes"] if one["target"] == "/run/consul")
        assert (mount["source"], mount["read_only"]) == ("/etc/ssl", True)


def test_for_outside_p2p_only_the_socket_proxy_has_the_socket() -> None:
    """Workers are published, and ask the socket proxy for their port."""
    services = _config("docker-compose.yml", "docker-compose.p2p.yml")
    (port,) = services["worker"]["ports"]
    assert (port["target"], port.get("published")) == (8000, None), "any free one"
    assert _set(services["worker"])["TFLEET_ADVERTISE_WAN"] == "docker"
    assert _set(services["proxy"])["TFLEET_MODE"] == "p2p"
    mounted = {name: [each["target"] for each in of.get("volumes", [])] for name, of in services.items()}
    assert [name for name, targets in mounted.items() if "/var/run/docker.sock" in targets] == ["engine"]


@pytest.mark.parametrize(
    ("given", "ports", "address"),
    [
        ("12500-12599", "12500-12599", None),
        ("127.0.0.1:12500-12599", "12500-12599", "127.0.0.1"),
        ("127.0.0.1:", None, "127.0.0.1"),
    ],
)
def test_published_ports_can_be_set(given: str, ports: str | None, address: str | None) -> None:
    services = _config("docker-compose.yml", "docker-compose.p2p.yml", WORKER_PUBLISH=given)
    (port,) = services["worker"]["ports"]
    assert (port.get("published"), port.get("host_ip")) == (ports, address)


def test_a_gpu_worker_is_built_with_cuda_and_is_given_a_gpu() -> None:
    worker = _config("docker-compose.yml", "docker-compose.gpu.yml")["worker"]
    assert worker["build"]["args"] == {"EXTRA": "worker-gpu", "REVISION": "unknown"}
    assert worker["image"] == "tfleet-worker-gpu"
    (device,) = worker["deploy"]["resources"]["reservations"]["devices"]
    assert (device["driver"], device["count"], device["capabilities"]) == ("nvidia", 1, ["gpu"])
    assert worker["deploy"]["resources"]["limits"]["cpus"] == 1, "the rest of the compose file still holds"


@pytest.mark.parametrize("file", ["docker-compose.p2p.yml", "docker-compose.gpu.yml"])
def test_green_workers_differ_in_number_and_model_only(file: str) -> None:
    given = {
        "TFLEET_MODEL": "/m/1",
        "GREEN_MODEL": "/m/2",
        "GREEN_WORKERS": "3",
        "TFLEET_MODEL_VERSION": "one",
    }
    services = _config("docker-compose.yml", file, **given)
    worker, green = services["worker"], services["worker-green"]
    assert green["environment"] == worker["environment"] | {
        "TFLEET_MODEL": "/m/2",
        "TFLEET_MODEL_VERSION": "",
    }
    assert green["deploy"] == worker["deploy"] | {"replicas": 3}
    own = {"environment", "deploy", "build", "pull_policy"}
    assert {key: green[key] for key in green.keys() - own} == {
        key: worker[key] for key in worker.keys() - own
    }


def test_green_workers_are_none_at_first() -> None:
    services = _config("docker-compose.yml", TFLEET_MODEL="/m/1")
    assert services["worker-green"]["deploy"]["replicas"] == 0
    assert _set(services["worker-green"])["TFLEET_MODEL"] == "/m/1", "never a model that nobody has named"


@pytest.mark.parametrize("files", [[], ["docker-compose.p2p.yml"], ["docker-compose.gpu.yml"]])
def test_one_service_builds_each_image(files: list[str]) -> None:
    """Two builds under one name are two images: the next `up` stops the containers of the other one."""
    services = _config("docker-compose.yml", *files)
    built = [service["image"] for service in services.values() if "build" in service]
    assert len(built) == len(set(built)) == 2


CONFINED = ("init", "restart", "read_only", "cap_drop", "security_opt")


def test_consul_is_as_confined_as_the_others() -> None:
    services = _config("docker-compose.yml")
    consul, worker = services["consul"], services["worker"]
    assert {key: consul[key] for key in CONFINED} == {key: worker[key] for key in CONFINED}
    assert (consul["read_only"], consul["cap_drop"]) == (True, ["ALL"])
    assert consul["user"] == "100:1000"
    assert consul["tmpfs"] == ["/tmp", "/consul/data"]
    assert consul["deploy"]["resources"]["limits"].keys() == {"cpus", "memory"}
    assert "ports" not in consul


def test_another_consul_can_be_named() -> None:
    assert _config("docker-compose.yml")["consul"]["image"] == "hashicorp/consul:2.0"
    assert _config("docker-compose.yml", CONSUL_IMAGE="c:1")["consul"]["image"] == "c:1"
