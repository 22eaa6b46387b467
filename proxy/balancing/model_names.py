"""Warns if workers of several models are registered under one service name."""

from __future__ import annotations

from typing import Any, Final

import structlog

from tfleet.discovery.listing import ServiceList

_HINT: Final = "give each model a --service NAME of its own, for its workers and for its proxy"


class ModelNames:
    """Warns once for each set of several model names: clients would get a random model.

    Several versions of one model are normal during a rolling update. An empty list changes nothing,
    because the registry may have lost its state.
    """

    def __init__(self, service: str) -> None:
        self._names: tuple[str, ...] = ()
        self._log: Any = structlog.get_logger().bind(service=service)

    def __repr__(self) -> str:
        return f"<ModelNames {' '.join(self._names)}>"

    def update(self, services: ServiceList) -> None:
        """Take the registry's answer."""
        listed = (*services.passing, *(one.instance for one in services.maintained))
        names = tuple(sorted({instance.model for instance in listed if instance.model}))
        if not names or names == self._names:
            return
        self._names = names
        if len(names) > 1:
            self._log.warning(
                "workers of several models are registered: each request gets a random one",
                models=list(names),
                hint=_HINT,
            )
