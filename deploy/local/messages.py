"""The messages of `tfleet up` on the terminal, with example commands to paste."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from tfleet.contract.address import Address, is_loopback, is_unspecified
from tfleet.contract.names import PROXY_PORT
from tfleet.discovery.registration.advertise import network_address
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry
from tfleet.proxy.settings import Mode

_PHOTO = Path("tests/data/cat.jpg")


def photo(folder: Path) -> str:
    """The path of a photo, relative to `folder`: the project's own in a checkout, else an example name."""
    return str(_PHOTO if (folder / _PHOTO).is_file() else Path("cat.jpg"))


def start_message(
    workers: int, mode: Mode, proxy: Address, registry: ConsulRegistry | EmbeddedRegistry
) -> str:
    """The first line: what will be started."""
    return (
        f"a fleet of {_count(workers)} behind a proxy on {proxy} ({mode} mode), "
        f"registry {registry}; Ctrl-C stops it all"
    )


def unreachable_registry_warning(registry: ConsulRegistry) -> str:
    """The warning that the registry does not answer, and what to do."""
    return (
        f"the registry at {registry.address} does not answer: workers are found as soon as it does. "
        "Start it, or see --registry and CONSUL_HTTP_ADDR; --registry embedded needs none"
    )


def program(argv0: str, folder: Path) -> str:
    """How to call this program in `folder`: by name if the shell finds it, else by its path."""
    if shutil.which("tfleet") is not None or not Path(argv0).is_file():
        return "tfleet"
    path = Path(argv0).absolute()
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def example_calls(mode: Mode, here: Address, image: str, model: str = "", kind: str = "") -> list[str]:
    """The commands that ask a proxy which is found `here`: with `image`, a photo, or for a model of another
    kind those that show how it is asked.
    """
    proxy = _short(here)
    if kind not in {"", "image"}:
        name = shlex.quote(f"{proxy}/models/{quote(model, safe='')}")
        return [f"curl {'-L ' if mode == 'p2p' else ''}{name}"]
    if mode == "p2p":
        return [f'curl -v -XPOST $(curl -s {proxy}) -F "data=@{image}"']
    return [
        f'curl -v -XPOST {proxy} -F "data=@{image}"',
        f"curl -X POST -F image=@{image} 'http://{proxy}/predict'",
    ]


def ready_message(calls: Sequence[str], here: Address, tfleet: str, there: Address | None = None) -> str:
    """The commands to paste, in a block of their own, for a proxy that is found `here` by this machine and
    `there` by others.

    `calls` ask the proxy, and `tfleet` is how this program is called.
    """
    proxy, lines = _short(here), list(calls)
    default = f"localhost:{PROXY_PORT}"
    lines.append(f"{tfleet} status" if proxy == default else f"{tfleet} status --proxy {proxy}")
    text = ["", "Ready. In another terminal:", "", *(f"  {line}" for line in lines), ""]
    if there is not None:
        text += [f"Other machines find it at {there}.", ""]
    return "\n".join(text)


def _short(proxy: Address) -> str:
    return f"localhost:{proxy.port}" if is_loopback(proxy.host) else str(proxy)


def address_for_others(proxy: Address) -> Address | None:
    """Where other machines find a proxy that listens there; None if they cannot, or if unknown."""
    if is_loopback(proxy.host):
        return None
    if not is_unspecified(proxy.host):
        return proxy
    own = network_address()
    return None if own is None or ":" in proxy.host else Address(own, proxy.port)


def progress(ready: int, wanted: int, elapsed_s: float) -> str:
    """The progress of the start."""
    if ready:
        return f"{ready} of {_count(wanted)} ready after {elapsed_s:.0f} s"
    return f"waiting for {_count(wanted)} ({elapsed_s:.0f} s): TensorFlow takes a while to load a model"


def stop_message(why: str) -> str:
    """The line that announces the stop; `why` is a signal or a process that cannot run."""
    return f"stopping because of {why}: the proxy first; Ctrl-C now kills what is left"


def _count(workers: int) -> str:
    return f"{workers} worker" if workers == 1 else f"{workers} workers"
