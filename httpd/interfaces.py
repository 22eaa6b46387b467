"""What a connection and whoever answers a request on it tell each other.

All of it happens in the thread of the connection's event loop, nothing of it waits. A handler that works in
other threads comes back with `loop.call_soon_threadsafe`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from tfleet.contract.address import Address
from tfleet.contract.problem import Problem
from tfleet.httpd.http1.request import RequestHead


class Client(Protocol):
    """A client's connection, as the handler of a request on it sees it."""

    write_paused: bool
    """Whether the client takes no more of the response for now."""

    @property
    def peer(self) -> str | None:
        """The client's IP address."""

    @property
    def local(self) -> Address | None:
        """The address of this side of the connection; None once it has ended."""

    @property
    def may_keep_alive(self) -> bool:
        """Whether another request may follow, as far as the server is concerned: not while it drains."""

    def send(self, data: bytes) -> None:
        """Send bytes of the response, its head included. Does nothing once the client has gone."""

    def unsent_bytes(self) -> int:
        """How much of what was sent the client has not taken yet."""

    def pause_reading(self) -> None:
        """Take nothing more of the body for now: the client has to wait."""

    def resume_reading(self) -> None:
        """Take more again."""

    def wake_at(self, when_s: float) -> None:
        """Have `on_deadline` called at that time of the loop's clock, and at none that was set before."""

    def finish(self, *, keep: bool) -> None:
        """The response is complete: said once. Unless the connection is to be kept, it ends now.

        What still comes of a body is read for a moment and thrown away, so that the client sees the response.
        """

    def abort(self) -> None:
        """End the connection with RST instead: half a response must not look like a whole one."""


class OpenRequest(Protocol):
    """A request that is being answered. After `finish` and `abort` it is told nothing any more."""

    def start(self) -> None:
        """Called once. What had already come of the body by then was given before."""

    def body_received(self, piece: bytes) -> None:
        """Called with the next piece of the body, without its framing."""

    def body_ended(self) -> None:
        """Called when the body is complete, before `start` where it is by then."""

    def body_failed(self, reason: str) -> None:
        """Called when the rest of the body can't be read: the connection must not be kept."""

    def client_disconnected(self) -> None:
        """Called last, when the client has closed the connection or only its sending side."""

    def pause_writing(self) -> None:
        """Called when the client takes no more of the response for now."""

    def resume_writing(self) -> None:
        """Called when it takes more again."""

    def on_deadline(self) -> None:
        """Called at the time of `wake_at`."""


Handler: TypeAlias = Callable[[RequestHead, Client], OpenRequest | None]
"""Called with each head. Gives None where it has sent the response and called `finish` itself."""


class ErrorResponses(Protocol):
    """Answers what never became a request. The connection ends with these responses."""

    def malformed(self, problem: Problem) -> bytes:
        """Log and count a head that can't be read (400) or took too long (408); gives the response."""

    def too_many_connections(self) -> bytes:
        """The response to a connection beyond the limit."""
