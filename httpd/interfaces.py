"""The interfaces between a connection and the handler of its requests.

All methods are called in the thread of the connection's event loop, and none of them blocks. A handler that
works in other threads returns with `loop.call_soon_threadsafe`.
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
    """Whether the client reads too slowly to be sent more of the response now."""

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
        """The bytes of the response that are not yet in the system's send buffer."""

    def pause_reading(self) -> None:
        """Stop reading the body; the client has to wait."""

    def resume_reading(self) -> None:
        """Go on reading the body."""

    def wake_at(self, when_s: float) -> None:
        """Call `on_deadline` at that time of the loop's clock. It replaces the time that was set before."""

    def finish(self, *, keep: bool) -> None:
        """Say once that the response is complete. Unless `keep`, the connection is closed.

        The rest of a body is read and discarded for a moment, so that the client sees the response.
        """

    def abort(self) -> None:
        """End the connection with RST instead: half a response must not look like a whole one."""


class OpenRequest(Protocol):
    """A request that is being answered. After `finish` and `abort` none of its methods is called."""

    def start(self) -> None:
        """Called once, after `body_received` with the part of the body that came with the head."""

    def body_received(self, piece: bytes) -> None:
        """Called with the next piece of the body, without its framing."""

    def body_ended(self) -> None:
        """Called when the body is complete; before `start` if it came with the head."""

    def body_failed(self, reason: str) -> None:
        """Called when the rest of the body can't be read: the connection must not be kept."""

    def body_too_large(self) -> None:
        """Called when a chunk announces more than the limit. The connection must not be kept."""

    def client_disconnected(self) -> None:
        """Called last, when the client has closed the connection."""

    def sending_ended(self) -> bool:
        """Called when the client has closed its sending side behind the whole request, or more than that.

        Returns whether it may wait for the response: see `may_wait` in half_closed.py.
        """

    def pause_writing(self) -> None:
        """Called when the client reads too slowly to be sent more now."""

    def resume_writing(self) -> None:
        """Called when the client can be sent more again."""

    def on_deadline(self) -> None:
        """Called at the time of `wake_at`."""


Handler: TypeAlias = Callable[[RequestHead, Client], OpenRequest | None]
"""Called with each head. Returns None if it has sent the response and called `finish` itself."""


class ErrorResponses(Protocol):
    """Responses to malformed heads and surplus connections. The connection is closed after them."""

    def malformed(self, problem: Problem, path: str) -> bytes:
        """Log and count a head that can't be parsed (400) or took too long (408); returns the response.

        `path` is what could be read of the path.
        """

    def too_many_connections(self) -> bytes:
        """Return the response to a connection beyond the limit."""
