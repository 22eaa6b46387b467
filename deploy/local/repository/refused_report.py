"""Writes the versions that can't be used into the registry, and takes them out again."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Mapping
from typing import Final

from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.refused_versions import RENEW_AFTER_S, refused_changes, refused_prefix

_TIMEOUT_S: Final = 3.0
_TRY_AGAIN_AFTER_S: Final = 15.0


class RefusedReport:
    """What the registry says of the versions that this `tfleet up` can't use. `by` is its name there."""

    def __init__(
        self, store: ConsulKeyValues, service: str, by: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._service = service
        self._by = by
        self._clock = clock
        self._shown: Mapping[tuple[str, str], str] | None = None
        """What was written; None before the first time, when those of a killed `tfleet up` may be there."""
        self._next_s = -math.inf
        self._problem = ""

    def __repr__(self) -> str:
        return f"<RefusedReport by {self._by}>"

    async def show(self, refused: Mapping[tuple[str, str], str]) -> str:
        """Let the registry show these versions, each with its reason, and no others of this `tfleet up`.

        Returns what keeps it from that, in one line; empty if nothing does.
        """
        now_s = self._clock()
        if refused == self._shown and (not refused or now_s < self._next_s):
            return ""
        if self._problem and now_s < self._next_s:
            return self._problem if refused else ""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._write(refused, now_s)
        except (RegistryError, TimeoutError) as error:
            self._next_s = now_s + _TRY_AGAIN_AFTER_S
            reason = str(error) or "it does not answer"
            self._problem = f"the registry does not show which versions can't be used: {reason}"
            return self._problem if refused else ""
        self._shown, self._next_s, self._problem = dict(refused), now_s + RENEW_AFTER_S, ""
        return ""

    async def _write(self, refused: Mapping[tuple[str, str], str], now_s: float) -> None:
        stored = await self._store.below(refused_prefix(self._service), 0, _TIMEOUT_S)
        for change in refused_changes(self._service, stored.values, refused, by=self._by, now_s=now_s):
            # Somebody else may write meanwhile. Then theirs stays until the next time.
            if change.value is None:
                await self._store.delete(change.key, cas=change.cas)
            else:
                await self._store.put(change.key, change.value, cas=change.cas)
