"""The proxies that a client may ask: whose turn it is, and who is out until when. Values, no I/O.

The rules:
- Requests go round the proxies, one after the other. A client begins anywhere, so that many clients load
  them evenly.
- One that failed is out at once, for everybody, and asked again a second later; if it fails once more it is
  left out for longer, up to half a minute. Requests that fail together count once.
- When its time is over one request finds out how it is; meanwhile the others still go elsewhere.
- One that answers that it can serve nobody rests for a while, and is not taken for dead.
- Who is out is asked after all the others, never not at all: a client with one proxy has no choice.
- Proxies come and go as the registry says, but never all of them: a list of nobody is no news.
- Every change makes a new value. Times are on the caller's clock, in seconds.
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
"""How long a proxy that failed is out."""

TRIAL_S: Final = 5.0
"""How long the others wait for the one request that finds out whether it is back."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A proxy that failed so many `times` without an answer in between: it is out from `since_s` on, and
    asked again `until_s`.
    """

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
        """The index of the proxy for the next request, from `turn` on and none of those `asked`; None where
        nobody is left.
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
        """Whether there is one that was not asked and is not out."""
        at = self.pick(0, asked, now_s)
        return at is not None and self._until_s(at) <= now_s

    def tried(self, url: str, now_s: float) -> Proxies:
        """The proxies while a request is on its way to this one."""
        outage = self.outages.get(url)
        return self if outage is None else self._out(url, replace(outage, until_s=now_s + TRIAL_S))

    def answered(self, url: str) -> Proxies:
        """The proxies after an answer of this one."""
        if url not in self.outages:
            return self
        return replace(self, outages={out: outage for out, outage in self.outages.items() if out != url})

    def failed(self, url: str, began_s: float, now_s: float, rng: random.Random) -> Proxies:
        """The proxies after a request that began then was lost by this one."""
        before = self.outages.get(url)
        if url not in self.urls or (before is not None and began_s < before.since_s):
            return self
        times = 1 if before is None else before.times + 1
        return self._out(url, Outage(times, now_s, now_s + OUT.delay_s(times, rng)))

    def resting(self, url: str, rest_s: float, now_s: float) -> Proxies:
        """The proxies after this one answered that it can serve nobody for so long."""
        return self._out(url, Outage(0, now_s, now_s + min(rest_s, OUT.cap_s)))

    def found(self, urls: tuple[str, ...]) -> Proxies:
        """The proxies that the registry lists, each with what is known of it."""
        if not urls:
            return self
        return Proxies(urls, {url: outage for url, outage in self.outages.items() if url in urls})

    def _until_s(self, at: int) -> float:
        outage = self.outages.get(self.urls[at])
        return -math.inf if outage is None else outage.until_s

    def _out(self, url: str, outage: Outage) -> Proxies:
        return replace(self, outages={**self.outages, url: outage})
