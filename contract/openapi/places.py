"""Where a version of a model is asked: its paths, and the names of its components. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from tfleet.contract.names import MODELS_PATH
from tfleet.contract.openapi.described import ModelDescription, SignatureDescription

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]+")
_MOST_CHARS: Final = 60


@dataclass(frozen=True, slots=True)
class ServedVersion:
    """A version of a model, and the names under which it answers besides its own.

    `for_model`: it answers requests that name the model and no version. `for_all`: it answers those that name
    no model either. `labels` are the version's labels in the plan.
    """

    model: ModelDescription
    for_model: bool = True
    for_all: bool = False
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelPlace:
    """A served version in the document. `key` begins the names of its components, and no other's."""

    served: ServedVersion
    key: str

    @property
    def model(self) -> ModelDescription:
        """The model."""
        return self.served.model

    def component(self, *parts: str) -> str:
        """The name of one of its components."""
        return "_".join((self.key, *parts))

    def signature_key(self, signature: SignatureDescription) -> str:
        """What stands for a signature in names of components. Two may be written alike: it has a number."""
        number = self.model.signatures.index(signature)
        return f"{number}_{_plain(signature.name)}"

    def paths(self, *, labels: bool = True) -> list[str]:
        """`/models/NAME` and the like: every path that stands for this version, without a prefix."""
        model = f"{MODELS_PATH}/{quote(self.model.name, safe='')}"
        own = [model] if self.served.for_model else []
        own.append(f"{model}/versions/{quote(self.model.version, safe='')}")
        if labels:
            own += [f"{model}/labels/{quote(label, safe='')}" for label in self.served.labels]
        return own


def places(versions: Sequence[ServedVersion]) -> list[ModelPlace]:
    """The versions with their keys, in the same order."""
    return [
        ModelPlace(served, f"m{number}_{_plain(served.model.name)}_{_plain(served.model.version)}")
        for number, served in enumerate(versions)
    ]


def _plain(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name)[:_MOST_CHARS]
