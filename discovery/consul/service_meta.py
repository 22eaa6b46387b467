"""A worker's model in the `Meta` of its registration: what is written there, and how it is read.

Consul's metadata are texts. A registration without a key is one of an older worker, or of another program.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from tfleet.discovery.instance import Instance

_TRUE: Final = "true"


class ServedModel(NamedTuple):
    """What a registration says of the model: see `Instance`."""

    model: str
    version: str
    kind: str
    stateful: bool

    def texts(self) -> tuple[tuple[str, str], ...]:
        """The texts with their keys."""
        return ("model", self.model), ("version", self.version), ("kind", self.kind)


def meta_of(instance: Instance) -> dict[str, str]:
    """The metadata to register. Keys that say nothing are left out."""
    meta = {"model": instance.model, "version": instance.version}
    if instance.kind:
        meta["kind"] = instance.kind
    if instance.stateful:
        meta["stateful"] = _TRUE
    return meta


def served_model(meta: object) -> ServedModel:
    """Read the metadata of a registration. Its texts may be anything: the caller checks them."""
    found = meta if isinstance(meta, Mapping) else {}
    model, version, kind = (str(found.get(key, "")) for key in ("model", "version", "kind"))
    return ServedModel(model, version, kind, found.get("stateful") == _TRUE)
