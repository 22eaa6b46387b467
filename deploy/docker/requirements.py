"""What pyproject.toml asks for, a requirement a line: `python deploy/docker/requirements.py worker`.

Images install it before the code is copied, so that a change of the code builds on the layer that holds
TensorFlow. It runs alone, without this project or any other being installed.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

# A requirement of the project itself, as in tfleet[worker,proxy], stands for those of its extras.
_OWN_EXTRAS = r"{name}\[(?P<extras>[^\]]+)\]"


def requirements(project: Mapping[str, Any], extras: Iterable[str]) -> list[str]:
    """The project's dependencies and those of these extras, each once. KeyError for one that it lacks."""
    return list(dict.fromkeys([*project["dependencies"], *_of_extras(project, extras)]))


def _of_extras(project: Mapping[str, Any], extras: Iterable[str]) -> Iterator[str]:
    own = re.compile(_OWN_EXTRAS.format(name=re.escape(project["name"])))
    for extra in extras:
        for requirement in project["optional-dependencies"][extra]:
            if match := own.fullmatch(requirement):
                yield from _of_extras(project, match["extras"].split(","))
            else:
                yield requirement


if __name__ == "__main__":
    described = tomllib.loads(Path("pyproject.toml").read_text())
    print(*requirements(described["project"], sys.argv[1:]), sep="\n")
