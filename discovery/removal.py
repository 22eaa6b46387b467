"""Makes a registration go, whatever its id is.

An agent takes the id of what it is to forget in a path, and there not every id can stand: Consul refuses one
with control characters, and takes `..` and `//` for a way through the path (`../../leave` would make the
agent leave its fleet). Such an id can be registered all the same, for then it is in a body.

So it is registered once more, over what was there: under another name, which takes it off the list of the
service at once, with a check that nobody will ever keep alive, which makes the agent forget it by itself.
Nobody can have it back by a heartbeat, either: that has the id in its path, too.
"""

from __future__ import annotations

from typing import Final

import consul

from tfleet.discovery.library import Library

_TTL: Final = "1s"
_REMOVE_AFTER: Final = "1m"  # the least that Consul grants
_MOVES: Final = frozenset({"", ".", ".."})


def fits_a_path(instance_id: str) -> bool:
    """Whether an agent can be told of the id in a path, percent-encoded."""
    return instance_id.isprintable() and _MOVES.isdisjoint(instance_id.split("/"))


def bury(library: Library, name: str, instance_id: str) -> None:
    """Have the agent forget one of its own ids within two minutes; until then it is called `name`.

    Raises what py-consul raises.
    """
    if instance_id not in library.agent.services():
        return
    check = consul.Check.ttl(_TTL) | {"DeregisterCriticalServiceAfter": _REMOVE_AFTER}
    library.agent.service.register(name, service_id=instance_id, check=check, replace_existing_checks=True)
