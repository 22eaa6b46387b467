"""`tfleet up` with stand-ins for its children: `run_fleet.py PROXY_PORT REGISTRY_PORT WORKERS`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

from tfleet.contract.address import Address
from tfleet.deploy.errors import CommandRefusedError
from tfleet.deploy.local.plan import FleetPlan, ProxyPlan, SharedOptions, WorkersPlan
from tfleet.deploy.local.run import run_fleet
from tfleet.deploy.local.terminal import Console
from tfleet.discovery.registry import EmbeddedRegistry
from tfleet.runtime.log import LogSettings


def main() -> None:
    proxy_port, registry_port, workers = map(int, sys.argv[1:])
    fleet = FleetPlan(
        proxy=ProxyPlan(Address("127.0.0.1", proxy_port), "forward"),
        workers=WorkersPlan(workers),
        registry=EmbeddedRegistry(Address("127.0.0.1", registry_port)),
        service="tfleet",
        shared=SharedOptions(LogSettings("json")),
        drain_timeout_s=30,
        program=(sys.executable, str(Path(__file__).parent / "fake_command.py")),
    )
    console = Console(sys.stdout, sys.stderr)
    try:
        code = asyncio.run(
            run_fleet(fleet, console, fleet.child_environ(os.environ, 2), image="cat.jpg", tfleet="tfleet")
        )
    except CommandRefusedError as error:
        error.show()
        code = error.exit_code
    sys.exit(code)


if __name__ == "__main__":
    main()
