"""Which models the workers of a service have: with more than one it is chance whose labels a client gets."""

from __future__ import annotations

from typing import Any, Final

import structlog

from tfleet.discovery.listing import ServiceList

_HINT: Final = "give each model a --service NAME of its own, for its workers and for its proxy"


class ModelNames:
    """Warns where there are several, once for each set of names.

    Several versions of one model are no reason: a rolling update has two for a while. Nor is an empty list
    an end of what was told: a registry may have lost its state.
    """

    def __init__(self, service: str) -> None:
        self._names: tuple[str, ...] = ()
        self._log: Any = structlog.get_logger().bind(service=service)

    def __repr__(self) -> str:
        return f"<ModelNames {' '.join(self._names)}>"

    def called(self, roll: ServiceList) -> None:
        """Take the registry's answer."""
        listed = (*roll.passing, *(one.instance for one in roll.maintained))
        names = tuple(sorted({instance.model for instance in listed if instance.model}))
        if not names or names == self._names:
            return
        self._names = names
        if len(names) > 1:
            self._log.warning(
                "workers of several models are registered: which of them gets an image is chance",
                models=list(names),
                hint=_HINT,
            )
