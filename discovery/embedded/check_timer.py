"""A check with its timers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from tfleet.discovery.embedded.model import Check, CheckDefinition, HttpProbe, Service, Status

_EXPIRED: Final = "TTL expired"


@dataclass(slots=True)
class TimedCheck:
    """A check of any type. Times are in seconds of the caller's monotonic clock; infinity means never."""

    check: Check
    ttl_s: float
    deregister_after_s: float
    expires_at: float
    http: HttpProbe | None = None
    last_output: str = ""
    critical_since: float = math.inf

    @classmethod
    def start(
        cls, definition: CheckDefinition, service: Service, prior: Check | None, *, now: float, index: int
    ) -> TimedCheck:
        """Make a check as registered. An existing check keeps its status and output; its timers
        start again.
        """
        check = Check(
            definition.id,
            definition.name,
            prior.status if prior else definition.status,
            definition.notes,
            prior.output if prior else "",
            service.id,
            service.name,
            service.tags,
            prior.create_index if prior else index,
            prior.modify_index if prior else index,
            "http" if definition.http else "ttl",
        )
        if prior and check != prior:
            check = replace(check, modify_index=index)
        expires_at = now + definition.ttl_s
        return cls(check, definition.ttl_s, definition.deregister_after_s, expires_at, definition.http)

    @classmethod
    def of_maintenance(cls, check: Check) -> TimedCheck:
        """Make a maintenance check, which only an operator removes."""
        return cls(check, math.inf, 0.0, math.inf)

    def adopted_by(self, service: Service, index: int) -> TimedCheck:
        """Return this check for a new registration of its service that does not name the check."""
        check = replace(self.check, service_name=service.name, service_tags=service.tags)
        if check != self.check:
            check = replace(check, modify_index=index)
        return replace(self, check=check)

    @property
    def removal_at(self) -> float:
        """When its service is to be removed."""
        return self.critical_since + self.deregister_after_s if self.deregister_after_s else math.inf

    @property
    def due(self) -> float:
        """When there is something to do next."""
        return min(self.expires_at, self.removal_at)

    def heartbeat(self, output: str, now: float) -> None:
        """Restart the TTL."""
        self.expires_at = now + self.ttl_s
        self.last_output = output

    def expired_output(self) -> str:
        """Return the output of the expired check."""
        if not self.last_output:
            return _EXPIRED
        return f"{_EXPIRED} (last output before timeout follows): {self.last_output}"

    def set_status(self, status: Status, output: str, *, now: float, index: int) -> None:
        """Set the status. `index` is the index of this change, or the check's own if the status stays."""
        if status != "critical":
            self.critical_since = math.inf
        elif self.critical_since == math.inf:
            self.critical_since = now
        self.check = replace(self.check, status=status, output=output, modify_index=index)
