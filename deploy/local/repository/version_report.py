"""Writes the versions that are loading or can't be used into the registry, and takes them out again."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from typing import Final

from tfleet.discovery.consul.key_values import ConsulKeyValues
from tfleet.discovery.errors import RegistryError
from tfleet.discovery.plan import service_prefix
from tfleet.discovery.reported_versions import Reports, VersionState, report_changes

_TIMEOUT_S: Final = 3.0
_TRY_AGAIN_AFTER_S: Final = 15.0


class VersionReport:
    """What this `tfleet up` says in the registry of versions that do not serve. `by` is its name there."""

    def __init__(
        self, store: ConsulKeyValues, service: str, by: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._store = store
        self._service = service
        self._by = by
        self._clock = clock
        self._shown: Reports | None = None
        """What was written; None before the first time, when those of a killed `tfleet up` may be there."""
        self._next_s = -math.inf
        self._problem = ""

    def __repr__(self) -> str:
        return f"<VersionReport by {self._by}>"

    async def show(self, wanted: Reports) -> str:
        """Let the registry show these versions, each with its reason, and no others of this `tfleet up`.

        Returns what keeps it from that, in one line; empty if nothing does.
        """
        now_s, is_empty = self._clock(), not any(wanted.values())
        if wanted == self._shown and (is_empty or now_s < self._next_s):
            return ""
        if self._problem and now_s < self._next_s:
            return "" if is_empty else self._problem
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                await self._write(wanted, now_s)
        except (RegistryError, TimeoutError) as error:
            self._next_s = now_s + _TRY_AGAIN_AFTER_S
            reason = str(error) or "it does not answer"
            not_shown = "the registry does not show which versions are loading or can't be used"
            self._problem = f"{not_shown}: {reason}"
            return "" if is_empty else self._problem
        renew_after_s = min((state.renew_after_s for state in VersionState if wanted.get(state)), default=0.0)
        self._shown, self._next_s, self._problem = dict(wanted), now_s + renew_after_s, ""
        return ""

    async def _write(self, wanted: Reports, now_s: float) -> None:
        stored = await self._store.below(service_prefix(self._service), 0, _TIMEOUT_S)
        for change in report_changes(self._service, stored.values, wanted, by=self._by, now_s=now_s):
            # Somebody else may write meanwhile. Then theirs stays until the next time.
            if change.value is None:
                await self._store.delete(change.key, cas=change.cas)
            else:
                await self._store.put(change.key, change.value, cas=change.cas)
