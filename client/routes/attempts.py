"""The attempts of one call in p2p mode: which workers failed, why, and which may be tried again. No I/O.

The rules:
- A worker that failed is avoided for the rest of the call.
- A busy worker (429) may be tried again if no other is left, after the time that it asked for.
- A worker that timed out may be tried once more if no other is left: perhaps all of them are overloaded.
- A rejected ticket is not counted as a failure the first time: there may be a newer ticket.
- The error at the end names every worker that failed, and why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tfleet.client.errors import BusyError, FleetUnavailableError, TryLaterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tfleet.client.routes.lookup import FoundWorker

PAUSE_S: Final = 1.0
"""The pause for a busy worker that did not send Retry-After."""


@dataclass(frozen=True, slots=True)
class FailedTry:
    """A worker that failed, and the reason; `refusal` is the error for its 429 or 503, `late` whether it
    timed out.
    """

    worker: FoundWorker
    reason: str
    refusal: TryLaterError | None = None
    late: bool = False

    def __str__(self) -> str:
        return f"{self.worker.address}: {self.reason}"


class Attempts:
    """The attempts of one call, in order. `len` is the number of those that failed."""

    def __init__(self) -> None:
        self._failed: list[FailedTry] = []
        self._avoided: dict[str, FailedTry] = {}
        self._asked: FoundWorker | None = None
        self._late_were_retried = False
        self._ticket_was_rejected = False

    def __len__(self) -> int:
        return len(self._failed)

    def __str__(self) -> str:
        """One line; empty before the first attempt."""
        waiting = [f"{self._asked.address}: no answer yet"] if self._asked else []
        return "; ".join([*map(str, self._failed), *waiting])

    def __repr__(self) -> str:
        return f"<Attempts failed={len(self._failed)} avoided={len(self._avoided)}>"

    @property
    def any_answered(self) -> bool:
        """Whether a worker answered, with a refusal. All other failures are lost connections."""
        return any(failed.refusal is not None for failed in self._failed)

    @property
    def avoided(self) -> tuple[str, ...]:
        """The ids of the workers that must not be tried (again)."""
        return tuple(self._avoided)

    def ask(self, worker: FoundWorker) -> None:
        """Note that this worker gets the image now."""
        self._asked = worker

    def failed(self, reason: str, refusal: TryLaterError | None = None, *, late: bool = False) -> None:
        """Note that the worker which got the image last has failed."""
        assert self._asked is not None
        failed = FailedTry(self._asked, reason, refusal, late)
        self._failed.append(failed)
        self._avoided[failed.worker.id] = failed
        self._asked = None

    def avoid(self, workers: Iterable[FoundWorker]) -> None:
        """Avoid these workers, which can't be reached, without an attempt of this call."""
        for worker in workers:
            self._avoided.setdefault(worker.id, FailedTry(worker, "not reached"))

    def pause_s(self) -> float | None:
        """Seconds until a busy worker may be tried again; None if no worker is just busy."""
        pauses = [
            PAUSE_S if busy.retry_after_s is None else busy.retry_after_s for busy in self._busy().values()
        ]
        return min(pauses, default=None)

    def retry_busy(self) -> None:
        """Allow another attempt at the busy workers."""
        for worker_id in self._busy():
            del self._avoided[worker_id]

    def may_renew_ticket(self) -> bool:
        """Whether a rejected ticket may just be too old: true once for each call."""
        before, self._ticket_was_rejected = self._ticket_was_rejected, True
        return not before

    def retry_late(self) -> bool:
        """Allow another attempt at workers that timed out. False if there is none, or if they had it
        already.
        """
        late = [worker_id for worker_id, failed in self._avoided.items() if failed.late]
        if not late or self._late_were_retried:
            return False
        self._late_were_retried = True
        for worker_id in late:
            del self._avoided[worker_id]
        return True

    def error(self, proxy: str, *, request_id: str) -> TryLaterError:
        """The error for the caller: every attempt failed, and no worker or no attempt is left."""
        refusals = [failed.refusal for failed in self._failed if failed.refusal is not None]
        busy = [refusal for refusal in refusals if isinstance(refusal, BusyError)]
        # "Busy" counts more than "unavailable": it tells the caller that trying later helps.
        reported = busy or refusals
        return (BusyError if busy else FleetUnavailableError)(
            f"no worker that {proxy} named accepted the image ({self})",
            status=reported[-1].status if reported else None,
            request_id=request_id,
            retry_after_s=min(
                (each.retry_after_s for each in reported if each.retry_after_s is not None), default=None
            ),
        )

    def _busy(self) -> dict[str, BusyError]:
        return {
            worker_id: failed.refusal
            for worker_id, failed in self._avoided.items()
            if isinstance(failed.refusal, BusyError)
        }
