from __future__ import annotations

import copy
from typing import Any

import pytest

from tfleet.deploy.compose.clone import NotCopiableError, clone_spec

ID = "0123456789abcdef"
DOCUMENT: dict[str, Any] = {
    "Id": ID,
    "Name": "/fleet-worker-1",
    "Image": "sha256:old",
    "Config": {
        "Hostname": ID[:12],
        "Image": "tfleet-worker",
        "Env": ["TFLEET_MODEL=/models/cats"],
        "StopTimeout": 30,
        "MacAddress": "02:42:ac:11:00:02",
        "Labels": {
            "com.docker.compose.container-number": "1",
            "com.docker.compose.config-hash": "aaa",
            "com.docker.compose.replace": "fleet-worker-0",
        },
    },
    "HostConfig": {"NetworkMode": "fleet_default", "ReadonlyRootfs": True, "NanoCpus": 1_000_000_000},
    "NetworkSettings": {
        "Networks": {
            "fleet_default": {
                "Aliases": ["fleet-worker-1", "worker", "cats", ID[:12]],
                "IPAddress": "10.0.0.3",
                "IPAMConfig": {"IPv4Address": "10.0.0.3"},
                "MacAddress": "02:42:ac:11:00:02",
                "Links": None,
                "DriverOpts": {"a": "b"},
            },
            "fleet_back": {"Aliases": ["worker"], "IPAddress": "10.1.0.3"},
        }
    },
}


def test_a_clone_differs_only_in_what_is_a_containers_own() -> None:
    before = copy.deepcopy(DOCUMENT)
    found = clone_spec(DOCUMENT, 4, image_is_current=True)
    assert found.name == "fleet-worker-4"
    assert found.body == {
        "Image": "tfleet-worker",
        "Env": ["TFLEET_MODEL=/models/cats"],
        "StopTimeout": 30,
        "Labels": {
            "com.docker.compose.container-number": "4",
            "com.docker.compose.config-hash": "aaa",
        },
        "HostConfig": DOCUMENT["HostConfig"],
        "NetworkingConfig": {
            "EndpointsConfig": {
                "fleet_default": {"Aliases": ["fleet-worker-4", "worker", "cats"], "DriverOpts": {"a": "b"}}
            }
        },
    }
    assert found.networks == {"fleet_back": {"Aliases": ["worker"]}}
    assert before == DOCUMENT, "it is only read"


def test_a_clone_runs_the_image_of_the_others() -> None:
    assert clone_spec(DOCUMENT, 2, image_is_current=False).body["Image"] == "sha256:old"


def test_a_given_hostname_is_kept() -> None:
    document = copy.deepcopy(DOCUMENT)
    document["Config"]["Hostname"] = "cats"
    assert clone_spec(document, 2, image_is_current=True).body["Hostname"] == "cats"


def test_names_of_older_composes_are_counted_on_as_well() -> None:
    assert (
        clone_spec({**DOCUMENT, "Name": "/fleet_worker_1"}, 2, image_is_current=True).name == "fleet_worker_2"
    )


def test_a_container_with_container_name_cannot_be_cloned() -> None:
    with pytest.raises(NotCopiableError, match=r"my-worker has a fixed name \(container_name\)"):
        clone_spec({**DOCUMENT, "Name": "/my-worker"}, 2, image_is_current=True)
