"""Which tests keep to one process where several run them (`-n 3 --dist loadgroup`), and which begin first.

xdist has marks for that, and writes what they say into the tests' names, which pytest 9.2 no longer lets it.
So it is said here, by the names.
"""

from __future__ import annotations

import re

from xdist.scheduler import LoadScopeScheduling
from xdist.workermanage import WorkerController

_README = "tests/test_readme.py"
_CONTAINERS = "tests/compose/"
_BOTH_REGISTRIES = ("tests/fleet/test_forward.py", "tests/fleet/test_p2p.py")
"""One fleet for all tests with a registry; that with the embedded one has the default ports."""
_FAULTY_REGISTRY = "tests/fleet/test_registry_faults.py"
"""One fleet for all faults, which are parameters."""
_WATCHED_MODELS = "tests/fleet/test_watched_models.py"
"""One fleet for all tests, which change its folder."""
_INFERENCE_CLIENTS = "tests/fleet/test_inference_clients.py"
"""One fleet of several models for all tests."""
_ONE_FLEET = frozenset({*_BOTH_REGISTRIES, _WATCHED_MODELS, _INFERENCE_CLIENTS})
_EXAMPLES = "tests/examples/"
"""One process trains all examples."""
_DEFAULT_PORTS = "default ports"
_LONGEST = (
    _CONTAINERS,
    "tests/fleet/test_registration.py::test_a_long_partition_removes_only_dead_workers",
    _DEFAULT_PORTS,
    _EXAMPLES,
    "tests/fleet/test_forward.py",
    _FAULTY_REGISTRY,
)


class SideBySide(LoadScopeScheduling):  # type: ignore[misc] # xdist has no types
    """xdist's way of dealing out what belongs together, with the longest first."""

    def _split_scope(self, nodeid: str) -> str:
        return group(nodeid)

    def _assign_work_unit(self, node: WorkerController) -> None:
        self.workqueue.move_to_end(min(self.workqueue, key=rank), last=False)
        super()._assign_work_unit(node)


def group(test: str) -> str:
    """Tests of the same group run one after the other, in one process."""
    file = test.partition("::")[0]
    parameter = re.search(r"\[(\w+)", test)
    if file == _README or (file in _BOTH_REGISTRIES and parameter and parameter[1] == "embedded"):
        return _DEFAULT_PORTS
    for folder in (_CONTAINERS, _EXAMPLES):
        if file.startswith(folder):
            return folder
    if file in _ONE_FLEET or (file == _FAULTY_REGISTRY and parameter):
        return file
    return test


def rank(group: str) -> int:
    """Its place among those that are waiting: what would be left alone at the end begins at the beginning."""
    return next((place for place, name in enumerate(_LONGEST) if group.startswith(name)), len(_LONGEST))
