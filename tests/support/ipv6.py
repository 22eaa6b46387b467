"""What a test needs that connects to ::1: containers are often without it."""

import socket

import pytest


def _has_it() -> bool:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not _has_it(), reason="this machine has no ::1")
