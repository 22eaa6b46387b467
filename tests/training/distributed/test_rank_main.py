"""Whether a process has failed by itself, or lost another one, by what JAX says."""

from __future__ import annotations

import pytest

from tfleet.training.distributed.rank_main import said_of_peer

_CLOSED = "Gloo all-reduce failed: [external/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError(f"UNKNOWN: {_CLOSED}\nand where"), _CLOSED),
        (RuntimeError(f"INTERNAL: {'Error dispatching computation: ' * 31}{_CLOSED}"), _CLOSED),
        (RuntimeError("DEADLINE_EXCEEDED: Barrier timed out"), "Barrier timed out"),
        (RuntimeError("UNAVAILABLE: The tasks: heartbeat is late"), "The tasks: heartbeat is late"),
        (RuntimeError("INTERNAL: Error dispatching computation: out of memory"), ""),
        (RuntimeError("Gloo has nothing to do with it"), ""),
        (OSError(f"UNKNOWN: {_CLOSED}"), ""),
    ],
)
def test_an_error_of_a_lost_peer_is_recognized(error: Exception, said: str) -> None:
    assert said_of_peer(error) == said
