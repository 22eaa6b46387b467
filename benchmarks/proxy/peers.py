"""The proxies that are measured: tfleet's proxy and its peers, all in front of the same backend.

Each has one process that works (HAProxy: one thread), so that processor time can be compared. What is not
installed is left out, with the reason.
"""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.report.server_process import Server
from tests.support.canned_server import nobody
from tests.support.environment import users_environment

DIRECT: Final = "no proxy"
NGINX: Final = "nginx"
HAPROXY: Final = "HAProxy"
NODE: Final = "Node http-proxy"
NODE_KEPT: Final = "Node http-proxy, keep-alive"
TFLEET: Final = "tfleet"
LOOKUP: Final = "tfleet, p2p"
NODE_LOOKUP: Final = "Node's p2p server"
ANSWER_BYTES: Final = 300

_HERE: Final = Path(__file__).parent
_PACKAGE: Final = "http-proxy@1.18.1"
_INSTALL_S: Final = 120.0
_START_S: Final = 30.0
_LOOK_S: Final = 0.05


class Peer(Server):
    """A proxy that is measured."""

    @property
    def group(self) -> int:
        """The group of its processes."""
        return self._process.pid


@dataclass(frozen=True, slots=True)
class Peers:
    """The proxies that run, by name, and why the others do not."""

    servers: dict[str, Peer]
    missing: list[str]


@contextlib.contextmanager
def peers() -> Iterator[Peers]:
    """All proxies that are installed, ready inside the block."""
    if shutil.which("nginx") is None:
        raise SystemExit("nginx is not installed (apt-get install nginx): all proxies here pass to one")
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as name, contextlib.ExitStack() as stack:
        found, folder = Peers({}, []), Path(name)
        ports: set[int] = set()

        def start(peer: str, *command: str, conf: str = "") -> None:
            """`{port}` and the like are filled in, in the command and in a file of configuration."""
            port = nobody().port
            while port in ports:
                port = nobody().port
            ports.add(port)
            known = {"port": port, "folder": folder, "backend": backend, "answer": "x" * ANSWER_BYTES}
            if conf:
                (folder / conf).write_text((_HERE / conf).read_text().format(**known))
            filled = [part.format(**known) for part in command]
            url = f"http://127.0.0.1:{port}/"
            found.servers[peer] = stack.enter_context(_running(peer, url, filled))

        backend = ""
        start(DIRECT, "nginx", "-p", "{folder}", "-c", "{folder}/backend.conf", conf="backend.conf")
        backend = found.servers[DIRECT].url.removeprefix("http://").removesuffix("/")
        start(NGINX, "nginx", "-p", "{folder}", "-c", "{folder}/nginx.conf", conf="nginx.conf")
        if shutil.which("haproxy"):
            start(HAPROXY, "haproxy", "-db", "-f", "{folder}/haproxy.cfg", conf="haproxy.cfg")
        else:
            found.missing.append("HAProxy is not installed (apt-get install haproxy)")
        if shutil.which("node"):
            start(NODE_LOOKUP, "node", str(_HERE / "lookup.js"), "{port}", "{backend}")
        if reason := _install(folder):
            found.missing.append(reason)
        else:
            script = ("node", str(_HERE / "http_proxy.js"), "{port}", "{backend}", "{folder}")
            start(NODE, *script)
            start(NODE_KEPT, *script, "keep-alive")
        proxy = (sys.executable, "-m", "tfleet", "proxy", "--port", "{port}", "--log-format", "json")
        registry = ("--registry", "static:{backend}")
        start(TFLEET, *proxy, *registry)
        start(LOOKUP, *proxy, *registry, "--mode", "p2p")
        for server in found.servers.values():
            _wait_for(server)
        yield found


def _install(folder: Path) -> str:
    """Node's package, into the folder. Why it can't be had; nothing if it can."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "Node is not installed (apt-get install nodejs npm)"
    command = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", _PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
    except subprocess.TimeoutExpired:
        return f"npm did not install {_PACKAGE} within {_INSTALL_S:g} s"
    return "" if done.returncode == 0 else f"npm can't install {_PACKAGE}: {done.stderr.strip()[-300:]}"


@contextlib.contextmanager
def _running(name: str, url: str, command: Sequence[str]) -> Iterator[Peer]:
    with tempfile.NamedTemporaryFile(prefix="tfleet-bench-") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=log, env=users_environment(), start_new_session=True
        )
        running = Peer(name, url, process, log)
        try:
            yield running
        finally:
            running.end()


def _wait_for(server: Peer) -> None:
    """Until it answers `GET /readyz`, whatever it says: a lookup server gives an address to everybody."""
    deadline_s = time.monotonic() + _START_S
    while True:
        try:
            with urllib.request.urlopen(f"{server.url}readyz", timeout=_START_S):
                return
        except OSError as error:  # urllib's own are among them
            if time.monotonic() > deadline_s:
                raise SystemExit(f"{server.name} did not start: {error}") from error
        time.sleep(_LOOK_S)
