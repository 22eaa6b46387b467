"""The servers that are measured: tfleet's worker in several configurations, and its peers. Each runs for all
rounds.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from benchmarks.report.machine import has_bfloat16
from benchmarks.report.server_process import Server, server
from tests.support.canned_server import nobody
from tfleet.worker.inference.choose_precision import BUILT_IN_SAMPLES
from tfleet.worker.inference.choose_precision import SAMPLES_FOLDER as SAMPLES
from tfleet.worker.model.find import DEFAULT_MODEL

WORKER: Final = "worker"
WORKER_BFLOAT16: Final = "worker, bfloat16"
UNBATCHED: Final = "worker, --max-batch 1"
PROXY: Final = "worker behind the proxy"
LITSERVE: Final = "LitServe"
FLASK: Final = "Flask's own server"

_IDLE_S = 2.0
_IDLES = 0.02  # of a processor: more would be missing in the figures of the others


class Subjects:
    """The servers that run, by name."""

    def __init__(self, servers: dict[str, Server]) -> None:
        self.servers = servers
        self.restless: tuple[str, ...] = ()

    def calm(self) -> None:
        """Pause the servers that use CPU time while idle."""
        busy = [one for one in self.servers.values() if one.load(_IDLE_S) > _IDLES]
        self.restless = tuple(one.name for one in busy)
        for one in busy:
            one.sleep()

    @contextlib.contextmanager
    def turn(self, name: str) -> Iterator[Server]:
        """Continue one server inside the block, and wait for it to finish its work after it."""
        subject = self.servers[name]
        if name in self.restless:
            subject.wake()
        yield subject
        if name in self.restless:
            subject.sleep()
            return
        subject.settle()
        if name == PROXY:  # behind it, it is the worker that still has something to do
            self.servers[WORKER].settle()


@contextlib.contextmanager
def _with_other_samples() -> Iterator[Path]:
    """The default model with samples of its own, without the cat: bfloat16 takes that for another one, so a
    worker would not compute in it.
    """
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder:
        model = Path(folder) / DEFAULT_MODEL.name / "1"
        shutil.copytree(DEFAULT_MODEL / "1", model)
        shutil.copytree(BUILT_IN_SAMPLES, model / SAMPLES, ignore=shutil.ignore_patterns("cat.*", "*.md"))
        yield model


@contextlib.contextmanager
def subjects() -> Iterator[Subjects]:
    """Start all servers concurrently."""
    with contextlib.ExitStack() as stack:

        def start(name: str, module: str, *arguments: str, path: str = "/", port: int = 0) -> Server:
            url = f"http://127.0.0.1:{port}{path}"
            return stack.enter_context(server(name, url, module, arguments))

        def worker(name: str, *options: str) -> Server:
            port = nobody().port
            fixed = ("--registry", "static:", "--port", str(port), "--log-format", "json")
            return start(name, "tfleet", "worker", *fixed, *options, port=port)

        float32 = ("--precision", "float32")
        found = [worker(WORKER, *float32), worker(UNBATCHED, *float32, "--max-batch", "1")]
        if has_bfloat16():
            model = str(stack.enter_context(_with_other_samples()))
            found.append(worker(WORKER_BFLOAT16, "--precision", "bfloat16", "--model", model))
        port = nobody().port
        behind = found[0].url.removeprefix("http://").removesuffix("/")
        options = ("--port", str(port), "--registry", f"static:{behind}", "--log-format", "json")
        found.append(start(PROXY, "tfleet", "proxy", *options, port=port))
        port = nobody().port
        found.append(start(FLASK, "benchmarks.worker.peers.flask_server", str(port), port=port))
        port = nobody().port
        found.append(
            start(LITSERVE, "benchmarks.worker.peers.litserve_server", str(port), port=port, path="/predict")
        )
        yield Subjects({one.name: one for one in found})
