"""What of ours depends on how a library is made, and not only on what its documentation promises.

Each entry names the versions whose source was read for it. `pyproject.toml` allows none beyond them. Whoever
raises such a cap is told here which of our files to read beside the library's new source.
"""

from __future__ import annotations

import ast
import importlib
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from types import ModuleType

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "tfleet"


@dataclass(frozen=True)
class Override:
    """What `file`, below src/tfleet, overrides or sets in `library`, read in all versions of `series`."""

    library: str
    file: str
    what: str
    series: str

    @property
    def beyond(self) -> Version:
        """The first version that was not read."""
        *front, last = Version(self.series).release
        return Version(".".join(map(str, [*front, last + 1])))


OVERRIDES = [
    Override("aiohttp", "client/http/transport.py", "aiohttp.connector.BaseConnector.connect", "3.14"),
    Override(
        "aiohttp", "client/http/transport.py", "aiohttp.connector.TCPConnector._create_connection", "3.14"
    ),
    Override("py-consul", "discovery/consul/client.py", "consul.base.Consul.prepare_headers", "1.8"),
    Override("py-consul", "discovery/consul/client.py", "the session of consul.std.HTTPClient", "1.8"),
    Override("requests", "discovery/consul/client.py", "requests.adapters.HTTPAdapter.cert_verify", "2.34"),
    Override(
        "requests",
        "discovery/consul/client.py",
        "requests.adapters.HTTPAdapter.build_connection_pool_key_attributes",
        "2.34",
    ),
    Override("docker", "runtime/docker_client.py", "that APIClient is a requests.Session (trust_env)", "7.2"),
    Override("uvloop", "httpd/http1/reset.py", "uvloop.loop.PseudoSocket.fileno, to close with RST", "0.23"),
    Override("uvloop", "httpd/connection.py", "uvloop.loop.PseudoSocket.fileno, to poll it", "0.23"),
    Override("uvloop", "proxy/upstream/connection.py", "uvloop.loop.PseudoSocket.fileno, to read it", "0.23"),
    Override("jax", "training/distributed/peers.py", "jax._src.distributed.global_state.client", "0.10"),
    Override("jax", "training/distributed/peers.py", "jax._src.lib._jax.make_gloo_tcp_collectives", "0.10"),
    Override(
        "keras",
        "training/distributed/batches.py",
        "keras.src.backend.jax.distribution_lib.distribute_data_input, Model.predict",
        "3.15",
    ),
    Override(
        "keras",
        "training/distributed/saves.py",
        "keras.src.saving.saving_api.save_model and save_weights, Model.export, methods of callbacks",
        "3.15",
    ),
    Override(
        "keras",
        "training/distributed/rank_main.py",
        "keras.src.utils.module_utils.tensorflow._available",
        "3.15",
    ),
    Override("pillow", "worker/image/decoder_main.py", "AvifImagePlugin.DEFAULT_MAX_THREADS", "13"),
]

_NOT_HERE = "jax"
"""tests/training/distributed/jax.txt has it, in a folder of its own."""

DOCUMENTED = frozenset(
    {
        "click.exceptions.ClickException.exit_code",
        "click.core.Command.make_context",
        "click.core.Group.invoke",
        "click.types.ParamType.convert",
        "keras.src.layers.layer.Layer.build",
        "keras.src.layers.layer.Layer.call",
        "prometheus_client.registry.Collector.collect",
    }
)
"""Overrides of what a library's documentation offers for that: no cap is needed."""


def requirements() -> dict[str, list[Requirement]]:
    """All that pyproject.toml asks for, by library."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = [
        *project["dependencies"],
        *(one for extra in project["optional-dependencies"].values() for one in extra),
    ]
    found: dict[str, list[Requirement]] = {}
    for requirement in map(Requirement, lines):
        found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


@pytest.mark.parametrize("override", OVERRIDES, ids=lambda one: f"{one.library} {one.what}")
def test_no_version_is_allowed_that_was_not_read(override: Override) -> None:
    hint = (
        f"{override.file} overrides {override.what} of {override.library} as of {override.series}: read both "
        "again, then raise `series` in this test and the cap in pyproject.toml together"
    )
    assert (PACKAGE / override.file).exists(), f"{override.file} is gone: remove its entry"
    if override.library != _NOT_HERE:
        assert Version(metadata.version(override.library)) < override.beyond, hint
    found = requirements()[override.library]
    assert not any(one.specifier.contains(override.beyond) for one in found), hint
    assert not any(one.specifier.contains("99999") for one in found), hint


@pytest.mark.process
def test_each_override_of_a_library_is_listed() -> None:
    known = {one.what for one in OVERRIDES} | DOCUMENTED
    unlisted = {name for kind in subclasses() for name in overridden(kind)} - known
    assert not unlisted, f"list them in OVERRIDES or DOCUMENTED: {sorted(unlisted)}"


@pytest.mark.process
def test_no_documented_override_is_listed_in_vain() -> None:
    found = {name for kind in subclasses() for name in overridden(kind)}
    assert not DOCUMENTED - found


def subclasses() -> Iterator[type]:
    """Our classes that have a base in a library."""
    for path in sorted(PACKAGE.glob("*/**/*.py")):
        tree = ast.parse(path.read_text())
        names = [node.name for node in tree.body if isinstance(node, ast.ClassDef) and node.bases]
        if not names or not imports_a_library(tree):
            continue
        module = ".".join(["tfleet", *path.relative_to(PACKAGE).with_suffix("").parts])
        imported: ModuleType = importlib.import_module(module)
        for name in names:
            kind = getattr(imported, name)
            if any(map(is_of_a_library, kind.__mro__)):
                yield kind


def imports_a_library(tree: ast.Module) -> bool:
    found = {alias.name for node in tree.body if isinstance(node, ast.Import) for alias in node.names}
    found |= {str(node.module) for node in tree.body if isinstance(node, ast.ImportFrom)}
    return any(name.split(".")[0] in LIBRARIES for name in found)


LIBRARIES = frozenset(
    name for name, distributions in metadata.packages_distributions().items() if "tfleet" not in distributions
)


def is_of_a_library(kind: type) -> bool:
    return kind.__module__.split(".")[0] in LIBRARIES


def overridden(kind: type) -> Iterator[str]:
    """Methods and attributes of a library's class that ours has, too; not those of the language itself."""
    for name in vars(kind):
        if name.startswith("__") or name in {"_abc_impl", "_is_protocol"}:
            continue
        for base in filter(is_of_a_library, kind.__mro__):
            if name in vars(base):
                yield f"{base.__module__}.{base.__qualname__}.{name}"
                break
