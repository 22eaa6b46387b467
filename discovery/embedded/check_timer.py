"""A check and its timers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Final

from tfleet.discovery.embedded.model import Check, CheckDefinition, HttpProbe, Service, Status

_EXPIRED: Final = "TTL expired"


@dataclass(slots=True)
class TimedCheck:
    """A check of either kind. Times are of the caller's monotonic clock, in seconds; infinity means never."""

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
        """As registered: a check that was there before keeps its status and output; the timers start anew."""
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
        """As an operator has put it there: nothing but an operator takes it away."""
        return cls(check, math.inf, 0.0, math.inf)

    def adopted_by(self, service: Service, index: int) -> TimedCheck:
        """As it is where its service was registered anew without naming it: it follows it."""
        check = replace(self.check, service_name=service.name, service_tags=service.tags)
        if check != self.check:
            check = replace(check, modify_index=index)
        return replace(self, check=check)

    @property
    def removal_at(self) -> float:
        """When its service has to go."""
        return self.critical_since + self.deregister_after_s if self.deregister_after_s else math.inf

    @property
    def due(self) -> float:
        """When there is next something to do."""
        return min(self.expires_at, self.removal_at)

    def beat(self, output: str, now: float) -> None:
        """Somebody said something: the TTL starts anew."""
        self.expires_at = now + self.ttl_s
        self.last_output = output

    def expired_output(self) -> str:
        """What an expired check says."""
        if not self.last_output:
            return _EXPIRED
        return f"{_EXPIRED} (last output before timeout follows): {self.last_output}"

    def show(self, status: Status, output: str, *, now: float, index: int) -> None:
        """Take a status. `index` is the one of this change, or the check's own where the status stays."""
        if status != "critical":
            self.critical_since = math.inf
        elif self.critical_since == math.inf:
            self.critical_since = now
        self.check = replace(self.check, status=status, output=output, modify_index=index)
