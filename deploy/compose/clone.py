"""Derive the request for a new worker container from an existing one, the same request that compose would
make.

- Labels, environment, limits, mounts, secrets and networks are copied, so compose treats the new container as
  its own: `docker compose ps` shows it, `up` finds it up to date and `down` removes it.
- What belongs to one container only is not copied: its names, its addresses, its anonymous volumes.
- The new container runs the same image as the old one, even if the image's name means a newer image by now.
  Otherwise scaling would mix two versions of the worker; replacing them is the task of `docker compose up`.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tfleet.deploy.compose.container import NUMBER

_REPLACES: Final = "com.docker.compose.replace"
_SHORT: Final = 12
_OF_A_NETWORK: Final = ("Links", "DriverOpts")


class NotCopiableError(Exception):
    """The container cannot be copied. The message is one line that says why."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """The name and body of the request for a new container, and the networks to connect it to afterwards.

    Docker engines from before 2024 accept only one network in the request itself.
    """

    name: str
    body: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]]


def clone_spec(document: Mapping[str, Any], number: int, *, image_is_current: bool) -> ContainerSpec:
    """The request for a copy with this number of the container that `docker inspect` shows as `document`.

    Raises NotCopiableError.
    """
    config, host = copy.deepcopy(document["Config"]), copy.deepcopy(document["HostConfig"])
    old_name, short_id = document["Name"].removeprefix("/"), document["Id"][:_SHORT]
    old_number = config["Labels"][NUMBER]
    stem = old_name.removesuffix(old_number)
    if stem == old_name:
        raise NotCopiableError(
            f"{old_name} has a fixed name (container_name), so there can be only one of it: remove "
            "container_name from the compose file"
        )
    name = f"{stem}{number}"
    config["Labels"][NUMBER] = str(number)
    config["Labels"].pop(_REPLACES, None)
    # Docker's default host name is the container's own id; one that the operator chose is kept.
    if config.get("Hostname") == short_id:
        del config["Hostname"]
    # Two containers with one MAC address on a network would steal each other's packets.
    config.pop("MacAddress", None)
    # By name where possible, so that `docker compose ps` shows the name; by id where the name has moved on.
    if not image_is_current:
        config["Image"] = document["Image"]
    networks = {
        network: _endpoint(endpoint, {old_name: name, short_id: None})
        for network, endpoint in (document["NetworkSettings"]["Networks"] or {}).items()
    }
    # The network that the request itself has to name.
    first = {each: networks.pop(each) for each in list(networks) if each == host.get("NetworkMode")}
    body = {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": first}}
    return ContainerSpec(name, body, networks)


def _endpoint(endpoint: Mapping[str, Any], renamed: Mapping[str, str | None]) -> dict[str, Any]:
    aliases = [renamed.get(alias, alias) for alias in endpoint.get("Aliases") or ()]
    kept = {key: endpoint[key] for key in _OF_A_NETWORK if endpoint.get(key)}
    return {"Aliases": [alias for alias in aliases if alias is not None], **kept}
