"""Where a version of a model is asked: its paths, and the names of its components. Pure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from tfleet.contract.names import MODELS_PATH
from tfleet.contract.openapi.described import ModelDescription, SignatureDescription
from tfleet.contract.openapi.schemas import Json, Named, schema

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
    """A served version in the document. `key` begins the names of its components, and no other's.

    `signature_keys` has what stands in them for each signature.
    """

    served: ServedVersion
    key: str
    signature_keys: Mapping[str, str]

    @property
    def model(self) -> ModelDescription:
        """The model."""
        return self.served.model

    def component(self, part: str, signature: SignatureDescription | None = None) -> str:
        """The name of one of its components, or of one of a signature's."""
        own = self.key if signature is None else f"{self.key}.{self.signature_keys[signature.name]}"
        return f"{own}.{part}"

    def schemas(self, into: dict[str, Json], signature: SignatureDescription | None = None) -> Named:
        """Puts schemas into `into`, as components by the names of their parts."""

        def named(part: str, found: Json) -> Json:
            name = self.component(part, signature)
            into[name] = found
            return schema(name)

        return named

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
    models = [served.model for served in versions]
    keys = _distinct(f"{_plain(model.name)}.{_plain(model.version)}" for model in models)
    return [
        ModelPlace(served, key, _signature_keys(served.model))
        for served, key in zip(versions, keys, strict=True)
    ]


def _signature_keys(model: ModelDescription) -> dict[str, str]:
    names = [each.name for each in model.signatures]
    return dict(zip(names, _distinct(map(_plain, names)), strict=True))


def _plain(name: str) -> str:
    return _NOT_IN_NAMES.sub("-", name)[:_MOST_CHARS]


def _distinct(names: Iterable[str]) -> list[str]:
    """The names; those that have been there before with a number, behind two points, which no name has."""
    taken: Counter[str] = Counter()
    found = []
    for name in names:
        taken[name] += 1
        found.append(name if taken[name] == 1 else f"{name}..{taken[name]}")
    return found
