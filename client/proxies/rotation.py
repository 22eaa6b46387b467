"""The rotation of a client's proxies: which one is next, and which are out until when. Values, no I/O.

The rules:
- Round robin over the proxies. A client starts at a random one, so that many clients load them evenly.
- A proxy that failed is out at once, for all requests, and is tried again a second later. After another
  failure it is out for longer, up to 30 s. Concurrent failures count once.
- When that time is over, one request tries the proxy; the others still go elsewhere until it has answered.
- A proxy that answers 503 is out for a while, but that is not counted as a failure.
- Proxies that are out are tried last, but always as a last resort: a client with one proxy has no choice.
- The registry adds and removes proxies, but an empty list is ignored.
- The values are immutable: each change returns a new one. Times are in seconds on the caller's clock.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from tfleet.runtime.backoff import Backoff

if TYPE_CHECKING:
    import random

OUT: Final = Backoff(first_s=1.0, cap_s=30.0)
"""How long a failed proxy is out."""

TRIAL_S: Final = 5.0
"""How long other requests avoid a proxy while one request tries it."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A proxy that failed `times` without an answer in between is out from `since_s` until `until_s`."""

    times: int
    since_s: float
    until_s: float


@dataclass(frozen=True, slots=True)
class Proxies:
    """The base URLs of the proxies, and those of them that are out."""

    urls: tuple[str, ...] = ()
    outages: Mapping[str, Outage] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<Proxies {len(self.urls)}, out {len(self.outages)}>"

    def pick(self, turn: int, asked: Collection[str], now_s: float) -> int | None:
        """The index of the proxy for the next request, from `turn` on, without those `asked`; None if none
        is left.
        """
        first_back = None
        for step in range(len(self.urls)):
            at = (turn + step) % len(self.urls)
            if self.urls[at] in asked:
                continue
            if self._until_s(at) <= now_s:
                return at
            if first_back is None or self._until_s(at) < self._until_s(first_back):
                first_back = at
        return first_back

    def has_other(self, asked: Collection[str], now_s: float) -> bool:
        """Whether there is a proxy that is not in `asked` and is not out."""
        at = self.pick(0, asked, now_s)
        return at is not None and self._until_s(at) <= now_s

    def tried(self, url: str, now_s: float) -> Proxies:
        """The proxies while a request tries this one."""
        outage = self.outages.get(url)
        return self if outage is None else self._out(url, replace(outage, until_s=now_s + TRIAL_S))

    def answered(self, url: str) -> Proxies:
        """The proxies after this one answered."""
        if url not in self.outages:
            return self
        return replace(self, outages={out: outage for out, outage in self.outages.items() if out != url})

    def failed(self, url: str, began_s: float, now_s: float, rng: random.Random) -> Proxies:
        """The proxies after a request to this one failed that began at `began_s`."""
        before = self.outages.get(url)
        # A request that began before the proxy was taken out belongs to the same outage.
        if url not in self.urls or (before is not None and began_s < before.since_s):
            return self
        times = 1 if before is None else before.times + 1
        return self._out(url, Outage(times, now_s, now_s + OUT.delay_s(times, rng)))

    def resting(self, url: str, rest_s: float, now_s: float) -> Proxies:
        """The proxies after this one answered 503 and asked for a pause of `rest_s`."""
        return self._out(url, Outage(0, now_s, now_s + min(rest_s, OUT.cap_s)))

    def found(self, urls: tuple[str, ...]) -> Proxies:
        """The proxies that the registry lists, with their known outages."""
        if not urls:
            return self
        return Proxies(urls, {url: outage for url, outage in self.outages.items() if url in urls})

    def _until_s(self, at: int) -> float:
        outage = self.outages.get(self.urls[at])
        return -math.inf if outage is None else outage.until_s

    def _out(self, url: str, outage: Outage) -> Proxies:
        return replace(self, outages={**self.outages, url: outage})
