"""An engine and a proxy that know each other: what is started on the one is soon ready in the other."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from aiohttp import web

from tfleet.deploy.compose.container import ComposeLabels, Container, ContainerState
from tfleet.deploy.compose.engine import Engine, EngineError


def container(
    number: int,
    status: str = "running",
    health: str = "healthy",
    *,
    exit_code: int = 0,
    restarts: int = 0,
    project: str = "fleet",
    folder: str = "/home/me/fleet",
    title: str = "tfleet worker",
    id: str = "",  # noqa: A002 - the name of Container's field
) -> Container:
    """One of the project `fleet`; it has an address while it runs."""
    return Container(
        id=id or f"id-{number}",
        name=f"fleet-worker-{number}",
        number=number,
        labels=ComposeLabels(project, folder, title),
        state=ContainerState(status, health, exit_code, restarts),
        addresses=frozenset({f"10.0.0.{number}"} if status == "running" else ()),
    )


@dataclass
class FakeEngine(Engine):
    """Containers in memory. Each call is noted; `trouble` is which calls fail, by their note, and how."""

    there: dict[str, Container] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    trouble: dict[str, str] = field(default_factory=dict)
    exit_codes: dict[str, int] = field(default_factory=dict)
    swarm: tuple[str, ...] = ()
    stopping: threading.Event = field(default_factory=threading.Event)
    may_stop: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def of(cls, *containers: Container) -> FakeEngine:
        made = cls({each.id: each for each in containers})
        made.may_stop.set()
        return made

    def workers(self, service: str, project: str | None) -> list[Container]:
        self._called("workers")
        assert service == "worker"
        return [each for each in self.there.values() if project in {None, each.labels.project}]

    def swarm_services(self, service: str) -> list[str]:
        return list(self.swarm)

    def create(self, pattern: Container, number: int) -> Container:
        self._called(f"create {number}")
        self.there[f"id-{number}"] = made = container(number, "created")
        return made

    def start(self, container: Container) -> None:
        self._called(f"start {container.number}")
        self._become(container, "running")

    def stop(self, container: Container) -> int | None:
        self._called(f"stop {container.number}")
        self.stopping.set()
        assert self.may_stop.wait(20)
        self._become(container, "exited")
        return self.exit_codes.get(container.id, 0)

    def remove(self, container: Container) -> None:
        self._called(f"remove {container.number}")
        del self.there[container.id]

    def last_line(self, container: Container) -> str:
        return f"the last line of {container.number}"

    def _called(self, call: str) -> None:
        self.calls.append(call)
        if call in self.trouble:
            raise EngineError(self.trouble[call])

    def _become(self, one: Container, state: str) -> None:
        self.there[one.id] = container(one.number, state)


@dataclass
class FakeProxy:
    """Knows the running containers of an engine as ready. `busy_s` and `queue` are what each worker counts,
    by its number; one without `busy_s` gives no metrics.
    """

    engine: FakeEngine
    url: str = ""
    states: dict[int, str] = field(default_factory=dict)
    busy_s: dict[int, float] = field(default_factory=dict)
    queue: dict[int, int] = field(default_factory=dict)

    async def table(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "workers": [
                    {
                        "id": f"tfleet-{one.number}",
                        "address": f"10.0.0.{one.number}:8000",
                        "state": self.states.get(one.number, "ready"),
                        "last_error": "/readyz answers 503" if one.number in self.states else "",
                    }
                    for one in list(self.engine.there.values())
                    if one.state.status == "running"
                ]
            }
        )

    async def metrics(self, request: web.Request) -> web.Response:
        number = int(request.match_info["id"].removeprefix("tfleet-"))
        if number not in self.busy_s:
            return web.json_response({"status": 502, "detail": "it gave no metrics"}, status=502)
        return web.Response(text=page(self.busy_s[number], self.queue.get(number, 0)))


def page(busy_s: float, queue: int) -> str:
    """A worker's metrics, as far as anybody looks; half of those that wait, wait for the session."""
    return (
        "# TYPE tfleet_worker_busy_seconds_total counter\n"
        f"tfleet_worker_busy_seconds_total {busy_s}\n"
        f"tfleet_worker_queue_requests {queue - queue // 2}.0\n"
        f"tfleet_worker_waiting {queue // 2}.0\n"
        'tfleet_worker_stage_seconds_sum{stage="infer"} 7.0\n'
    )


@asynccontextmanager
async def pretend_proxy(engine: FakeEngine) -> AsyncIterator[FakeProxy]:
    proxy = FakeProxy(engine)
    app = web.Application()
    app.router.add_get("/workers", proxy.table)
    app.router.add_get("/workers/{id}/metrics", proxy.metrics)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    proxy.url = "http://{}:{}".format(*runner.addresses[0])
    try:
        yield proxy
    finally:
        await runner.cleanup()
