"""The tries of one call in p2p mode: which workers failed at it, how, and whom to ask next. No I/O.

The rules:
- A worker that failed is avoided for the rest of the call.
- One that was busy (429) may be asked again when nobody else is left, after the time that it asked for.
- One that was only late may be asked once more when nobody else is left: it may be that all are late because
  they have too much to do.
- A ticket that a worker does not take is nobody's failure, once: there may be a newer one.
- What the caller is told at the end names every worker that failed and how.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tfleet.client.errors import BusyError, FleetUnavailableError, TryLaterError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tfleet.client.routes.lookup import FoundWorker

PAUSE_S: Final = 1.0
"""How long a busy worker that did not say how long is left alone."""


@dataclass(frozen=True, slots=True)
class FailedTry:
    """A worker and why it is no use to this call; `refusal` is what its 429 or 503 means, `late` whether
    nothing came of it in time.
    """

    worker: FoundWorker
    reason: str
    refusal: TryLaterError | None = None
    late: bool = False

    def __str__(self) -> str:
        return f"{self.worker.address}: {self.reason}"


class Attempts:
    """What has been tried for one call, in order. `len` is the number of tries that failed."""

    def __init__(self) -> None:
        self._failed: list[FailedTry] = []
        self._avoided: dict[str, FailedTry] = {}
        self._asked: FoundWorker | None = None
        self._late_were_asked_again = False
        self._ticket_was_doubted = False

    def __len__(self) -> int:
        return len(self._failed)

    def __str__(self) -> str:
        """One line, empty before the first try."""
        waiting = [f"{self._asked.address}: no answer yet"] if self._asked else []
        return "; ".join([*map(str, self._failed), *waiting])

    def __repr__(self) -> str:
        return f"<Attempts failed={len(self._failed)} avoided={len(self._avoided)}>"

    @property
    def somebody_answered(self) -> bool:
        """Whether a worker refused; all others were lost connections."""
        return any(failed.refusal is not None for failed in self._failed)

    @property
    def avoided(self) -> tuple[str, ...]:
        """The ids of the workers that are not to be asked (again)."""
        return tuple(self._avoided)

    def ask(self, worker: FoundWorker) -> None:
        """This worker gets the image now."""
        self._asked = worker

    def failed(self, reason: str, refusal: TryLaterError | None = None, *, late: bool = False) -> None:
        """The worker that was asked gave no answer that could be used."""
        assert self._asked is not None
        failed = FailedTry(self._asked, reason, refusal, late)
        self._failed.append(failed)
        self._avoided[failed.worker.id] = failed
        self._asked = None

    def avoid(self, workers: Iterable[FoundWorker]) -> None:
        """Don't ask these: they can't be reached, as is known without a try of this call's."""
        for worker in workers:
            self._avoided.setdefault(worker.id, FailedTry(worker, "not reached"))

    def pause_s(self) -> float | None:
        """Seconds until one of the busy ones may be asked again, None where nobody is just busy."""
        pauses = [
            PAUSE_S if busy.retry_after_s is None else busy.retry_after_s for busy in self._busy().values()
        ]
        return min(pauses, default=None)

    def ask_the_busy_again(self) -> None:
        """Avoid only those that failed in another way."""
        for worker_id in self._busy():
            del self._avoided[worker_id]

    def doubt_the_ticket(self) -> bool:
        """Whether a ticket that was not taken may only be too old; False if there was another one since."""
        doubted, self._ticket_was_doubted = self._ticket_was_doubted, True
        return not doubted

    def ask_the_late_again(self) -> bool:
        """Avoid those that were only late no longer; False where there is none, or they had that chance."""
        late = [worker_id for worker_id, failed in self._avoided.items() if failed.late]
        if not late or self._late_were_asked_again:
            return False
        self._late_were_asked_again = True
        for worker_id in late:
            del self._avoided[worker_id]
        return True

    def error(self, proxy: str, *, request_id: str) -> TryLaterError:
        """What the caller is told: no try succeeded, and nobody is left or there were enough of them."""
        refusals = [failed.refusal for failed in self._failed if failed.refusal is not None]
        busy = [refusal for refusal in refusals if isinstance(refusal, BusyError)]
        told = busy or refusals
        return (BusyError if busy else FleetUnavailableError)(
            f"no worker that {proxy} named took the image ({self})",
            status=told[-1].status if told else None,
            request_id=request_id,
            retry_after_s=min(
                (each.retry_after_s for each in told if each.retry_after_s is not None), default=None
            ),
        )

    def _busy(self) -> dict[str, BusyError]:
        return {
            worker_id: failed.refusal
            for worker_id, failed in self._avoided.items()
            if isinstance(failed.refusal, BusyError)
        }
