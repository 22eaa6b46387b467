"""What all connections of a server share."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tfleet.httpd.admission import Admission, ConnectionLimits
from tfleet.httpd.idle import IdleConnections
from tfleet.httpd.interfaces import ErrorResponses, Handler

if TYPE_CHECKING:
    from tfleet.httpd.connection import Connection


@dataclass(slots=True)
class ConnectionContext:
    """What all connections of a server share."""

    handler: Handler
    errors: ErrorResponses
    limits: ConnectionLimits
    admission: Admission
    loop: asyncio.AbstractEventLoop
    draining: bool = False
    """Whether each response is the last one on its connection."""
    connections: set[Connection] = field(default_factory=set)
    """Those that are open, also those that are being refused."""
    idle: IdleConnections = field(default_factory=IdleConnections)
    """With `idle_give_way`: those on which nothing is under way."""
