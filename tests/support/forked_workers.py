"""Workers in no time: one process imports what a worker imports, TensorFlow above all, and forks them.

Each worker is a process of its own that runs `tfleet worker` and can be killed, stopped and drained like any
other; only the imports, seconds of every start, are done once for all tests. Workers that are started in the
ordinary way are the subject of test_forward.py and its neighbours.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from tests.support.environment import users_environment
from tests.support.worker_process import Worker
from tfleet.deploy.cli import cli

_POLL_S = 0.01
_LOG = os.O_WRONLY | os.O_APPEND | os.O_CREAT


class ForkedWorkers:
    """The process that forks. It takes one order at a time, as a line of JSON, once its imports are done."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._lock = threading.Lock()

    def write_model(self, folder: Path, writer: str = "graphs.write_model") -> Path:
        """Have a model written, so that no test imports TensorFlow for it: the small one that most fleets
        serve, or what another function writes, by its name in tests/support or in all of the tests.
        """
        assert self.order(model=str(folder), writer=writer) == 0, "what it said is on standard error"
        return folder

    def order(self, **order: Any) -> int | None:
        """Have it done; what the forked_workers answers."""
        assert self._process.stdin
        assert self._process.stdout
        with self._lock:
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
            assert line, "the forked_workers has ended; what it said is on standard error"
            answer: int | None = json.loads(line)
            return answer

    def run(
        self, *arguments: object, cwd: Path | None = None, timeout_s: float = 110
    ) -> subprocess.CompletedProcess[str]:
        """Have a command of tfleet run to its end, in a folder."""
        with tempfile.TemporaryDirectory(prefix="tfleet-command-") as folder:
            out, err = Path(folder, "out"), Path(folder, "err")
            words = [*map(str, arguments)]
            process = ForkedProcess(self, words, str(out), {}, errors=str(err), folder=cwd)
            try:
                code = process.wait(timeout_s)
            finally:
                process.kill()
            return subprocess.CompletedProcess(words, code, out.read_text(), err.read_text())

    @contextlib.contextmanager
    def worker(self, *options: str, environment: Mapping[str, str] | None = None) -> Iterator[Worker]:
        """A worker that is starting; killed with the block if it has not ended by itself. `environment` is
        what it has beside that of a user.
        """
        with tempfile.NamedTemporaryFile(prefix="tfleet-worker-") as log:
            arguments = ["worker", "--log-format", "json", *options]
            process = ForkedProcess(self, arguments, log.name, environment or {})
            try:
                # It has what tests use of a Popen.
                yield Worker(cast("subprocess.Popen[bytes]", process), Path(log.name))
            finally:
                if process.poll() is None:
                    process.kill()
                process.wait(30)


class ForkedProcess:
    """A child of the forked_workers's, used like a subprocess.Popen."""

    def __init__(
        self,
        forked_workers: ForkedWorkers,
        arguments: list[str],
        log: str,
        environment: Mapping[str, str],
        *,
        errors: str | None = None,
        folder: Path | None = None,
    ) -> None:
        """`log` gets its output, and its errors too unless they have a file of their own."""
        self.returncode: int | None = None
        self._nursery = forked_workers
        places = {"log": log, "errors": errors or log, "folder": str(folder or ".")}
        pid = forked_workers.order(fork=arguments, environment=dict(environment), **places)
        assert pid
        self.pid = pid

    def __repr__(self) -> str:
        return f"<ForkedProcess {self.pid} ended={self.returncode}>"

    def send_signal(self, signum: int) -> None:
        """One that has ended is still there until it is polled, and gets it in vain."""
        if self.returncode is None:
            os.kill(self.pid, signum)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def poll(self) -> int | None:
        """Its exit code, negative for the signal that killed it; None while it lives."""
        if self.returncode is None:
            self.returncode = self._nursery.order(reap=self.pid)
        return self.returncode

    def wait(self, timeout: float) -> int:
        deadline_s = time.monotonic() + timeout
        while (code := self.poll()) is None:
            assert time.monotonic() < deadline_s, f"{self} still lives"
            time.sleep(_POLL_S)
        return code


@contextlib.contextmanager
def forked_workers(*modules: str) -> Iterator[ForkedWorkers]:
    """A forked_workers that ends with the block, and all that it has forked with it.

    It imports these modules beside those of workers.
    """
    command = [sys.executable, "-m", "tests.support.forked_workers", *modules]
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parents[2],
        env=users_environment(),
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        yield ForkedWorkers(process)
    finally:
        process.communicate(timeout=30)  # the end of its input is the end of its work


def main() -> None:
    """Carry out orders until there are no more."""
    # Here, because whoever gives the orders does without TensorFlow.
    workers = ("tfleet.worker.cli", "tfleet.worker.inference.classifier", "tests.support.graphs")
    for module in (*workers, *sys.argv[1:]):
        importlib.import_module(module)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for pytest, which then closes the input
    children: set[int] = set()
    try:
        for line in sys.stdin:
            order = json.loads(line)
            if "fork" in order:
                answer: int | None = _fork(partial(_work, order))
                children.add(cast(int, answer))
            elif "model" in order:
                writer = _fork(partial(_write, order["model"], order["writer"]))
                answer = os.waitstatus_to_exitcode(os.waitpid(writer, 0)[1])
            else:
                pid, status = os.waitpid(order["reap"], os.WNOHANG)
                children.discard(pid)
                answer = os.waitstatus_to_exitcode(status) if pid else None
            print(json.dumps(answer), flush=True)
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)


def _fork(work: Callable[[], None]) -> int:
    """Have a child do it: no session, and no thread of TensorFlow's, is left here for the next one."""
    if pid := os.fork():
        return pid
    code: object = 1
    try:
        work()
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else 1)  # what follows in this program is not the child's


def _work(order: Mapping[str, Any]) -> None:
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(order["log"], _LOG), 1)
    os.dup2(os.open(order["errors"], _LOG), 2)
    cli(order["fork"], prog_name="tfleet")


def _write(folder: str, writer: str) -> None:
    module, _, function = writer.rpartition(".")
    name = module if module.startswith("tests.") else f"tests.support.{module}"
    getattr(importlib.import_module(name), function)(Path(folder))


if __name__ == "__main__":
    main()
