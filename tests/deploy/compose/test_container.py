from __future__ import annotations

from typing import Any

from tfleet.deploy.compose.container import ComposeLabels, Container, ContainerState, read_container

LABELS = {
    "com.docker.compose.project": "fleet",
    "com.docker.compose.service": "worker",
    "com.docker.compose.container-number": "12",
    "com.docker.compose.project.working_dir": "/home/me/fleet",
    "org.opencontainers.image.title": "tfleet worker",
}


def document(**state: Any) -> dict[str, Any]:
    return {
        "Id": "abc",
        "Name": "/fleet-worker-12",
        "RestartCount": 3,
        "Config": {"Labels": LABELS, "StopTimeout": 30},
        "State": {"Status": "running", "ExitCode": 0, **state},
        "NetworkSettings": {
            "Networks": {
                "one": {"IPAddress": "10.0.0.3", "GlobalIPv6Address": ""},
                "two": {"IPAddress": "10.1.0.3", "GlobalIPv6Address": "fd00::3"},
            }
        },
    }


def test_a_container_is_read_from_docker_inspect() -> None:
    assert read_container(document(Health={"Status": "starting"})) == Container(
        id="abc",
        name="fleet-worker-12",
        number=12,
        labels=ComposeLabels("fleet", "/home/me/fleet", "tfleet worker"),
        state=ContainerState("running", "starting", restarts=3),
        addresses=frozenset({"10.0.0.3", "10.1.0.3", "fd00::3"}),
        stop_grace_s=30,
    )


def test_a_container_without_settings_gets_drain_time() -> None:
    """Neither a health check nor a stop grace period."""
    said = document(Status="exited", ExitCode=2, Health=None)
    del said["Config"]["StopTimeout"]
    said["NetworkSettings"]["Networks"] = {"one": {"IPAddress": ""}}
    found = read_container(said)
    assert (found.state.health, found.state.exit_code, found.stop_grace_s) == ("none", 2, 30)
    assert found.addresses == frozenset()
    assert not found.alive


def test_a_paused_or_restarting_container_is_alive() -> None:
    states = ("created", "running", "paused", "restarting", "removing", "exited", "dead")
    living = [state for state in states if read_container(document(Status=state)).alive]
    assert living == ["running", "paused", "restarting"]
