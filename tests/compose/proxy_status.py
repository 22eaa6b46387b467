"""A fleet in containers, as its proxy shows it."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import Any

import requests
from docker.models.containers import Container

from tests.support.waiting import eventually_sync

_SETTLED_S = 60.0
_LISTED = (
    "import urllib.request as r; "
    "print(r.urlopen('http://consul:8500/v1/health/service/tfleet').read().decode())"
)


class Served(ABC):
    """Where the proxy is published, and which workers it knows."""

    @property
    @abstractmethod
    def url(self) -> str:
        """Where the proxy is published."""

    @abstractmethod
    def containers(self, service: str) -> list[Container]:
        """Those of a service."""

    def rows(self) -> list[dict[str, Any]]:
        """The proxy's table."""
        found: list[dict[str, Any]] = requests.get(f"{self.url}/workers", timeout=10).json()["workers"]
        return found

    def states(self) -> dict[str, str]:
        """The state of each worker that the proxy knows, by its id."""
        return {row["id"]: row["state"] for row in self.rows()}

    def addresses(self, kind: str = "address") -> dict[str, str]:
        """The address of each worker that the proxy knows, or its `wan`, by its id."""
        return {row["id"]: row[kind] for row in self.rows()}

    def settled(self, workers: int) -> None:
        """Wait until the proxy knows exactly so many workers, all ready, and others only as ejected."""
        wanted = ["ready"] * workers
        eventually_sync(self._at_work, wanted=lambda found: found == wanted, timeout_s=_SETTLED_S)

    def _at_work(self) -> list[str]:
        return [state for state in self.states().values() if state != "ejected"]

    def listed(self) -> dict[str, bool]:
        """The workers in Consul's catalog, by their ids, and whether they pass."""
        answer = self.containers("proxy")[0].exec_run(["python", "-c", _LISTED], demux=True)
        out, err = answer.output
        if answer.exit_code != 0:
            return {"nobody answers": False, str(err): False}
        return {
            entry["Service"]["ID"]: all(check["Status"] == "passing" for check in entry["Checks"])
            for entry in json.loads(out)
        }
