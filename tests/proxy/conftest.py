import asyncio
from collections.abc import Callable

import uvloop


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop on which `tfleet proxy` runs."""
    return {"uvloop": uvloop.new_event_loop}
