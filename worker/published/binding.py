"""Where the engine has published a container's port, as `docker inspect` has it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfleet.contract.address import Address, address_of, is_everywhere

_EVERY_IPV4 = "0.0.0.0"  # noqa: S104 - told, not bound to


def binding(container: Mapping[str, object], port: int) -> Address | None:
    """The address of the engine's machine that leads to this TCP port of the container, if there is one.

    Its host is 0.0.0.0 where that is every interface. An IPv4 address is taken before one of IPv6.
    """
    settings = container.get("NetworkSettings")
    ports = settings.get("Ports") if isinstance(settings, Mapping) else None
    bindings = ports.get(f"{port}/tcp") if isinstance(ports, Mapping) else None
    if not isinstance(bindings, Sequence):
        return None
    found = [address for each in bindings if (address := _address(each)) is not None]
    return min(found, key=lambda address: ":" in address.host, default=None)


def _address(bound: object) -> Address | None:
    if not isinstance(bound, Mapping):
        return None
    host, port = str(bound.get("HostIp") or ""), str(bound.get("HostPort") or "")
    if not port.isdecimal():
        return None
    return address_of(_EVERY_IPV4 if is_everywhere(host) else host, int(port))
