"""How another worker like this one is asked for: what compose itself would ask the engine for.

- Labels, environment, limits, mounts, secrets and networks are those of the one that is copied, so compose
  takes the new one for its own: `docker compose ps` shows it, `up` finds it up to date and `down` removes it.
- What belongs to one container only is left out: its names, its addresses, the volumes that have no name.
- It runs the very image that the other one runs, also where the image's name means another one by now:
  workers of two kinds in one fleet are the business of `docker compose up`.
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
    """There can be only one of it. The message is one line that says why."""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """The body of the engine's request for a container, and the networks to which it is connected after that:
    an engine of before 2024 takes only one with the request.
    """

    name: str
    body: Mapping[str, Any]
    networks: Mapping[str, Mapping[str, Any]]


def order(document: Mapping[str, Any], number: int, *, image_is_current: bool) -> ContainerSpec:
    """From what `docker inspect` shows of a container of a compose project. Raises NotCopiableError."""
    config, host = copy.deepcopy(document["Config"]), copy.deepcopy(document["HostConfig"])
    old_name, short_id = document["Name"].removeprefix("/"), document["Id"][:_SHORT]
    old_number = config["Labels"][NUMBER]
    stem = old_name.removesuffix(old_number)
    if stem == old_name:
        raise NotCopiableError(
            f"{old_name} has a name of its own (container_name), so there can be only one of it: take that "
            "out of the compose file"
        )
    name = f"{stem}{number}"
    config["Labels"][NUMBER] = str(number)
    config["Labels"].pop(_REPLACES, None)
    if config.get("Hostname") == short_id:
        del config["Hostname"]
    config.pop("MacAddress", None)
    if not image_is_current:
        config["Image"] = document["Image"]
    networks = {
        network: _endpoint(endpoint, {old_name: name, short_id: None})
        for network, endpoint in (document["NetworkSettings"]["Networks"] or {}).items()
    }
    first = {each: networks.pop(each) for each in list(networks) if each == host.get("NetworkMode")}
    body = {**config, "HostConfig": host, "NetworkingConfig": {"EndpointsConfig": first}}
    return ContainerSpec(name, body, networks)


def _endpoint(endpoint: Mapping[str, Any], renamed: Mapping[str, str | None]) -> dict[str, Any]:
    aliases = [renamed.get(alias, alias) for alias in endpoint.get("Aliases") or ()]
    kept = {key: endpoint[key] for key in _OF_A_NETWORK if endpoint.get(key)}
    return {"Aliases": [alias for alias in aliases if alias is not None], **kept}
