"""The embedded registry or a real Consul: what holds for one has to hold for the other."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from tests.support.consul_agent import consul_agent
from tests.support.embedded_registry import embedded_registry
from tfleet.contract.address import Address

REGISTRIES: Final = ("embedded", "consul")


@contextmanager
def either_registry(kind: str) -> Iterator[Address]:
    """Where the registry of this kind, one of REGISTRIES, answers."""
    if kind == "embedded":
        with embedded_registry() as address:
            yield address
    else:
        with consul_agent() as consul:
            yield consul.address
