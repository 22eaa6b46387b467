"""The paths of TensorFlow Serving's REST API, in any case of letters."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

PREDICT: Final = "predict"
CLASSIFY: Final = "classify"
REGRESS: Final = "regress"
STATUS: Final = "status"
METADATA: Final = "metadata"
MODELS: Final = "models"
"""The list of models, which is KServe's: TensorFlow Serving has none."""

_MODEL: Final = r"(?P<model>[^/:]+)(?:/versions/(?P<version>[^/:]+)|/labels/(?P<label>[^/:]+))?"
_POST: Final = re.compile(rf"/v1/models/{_MODEL}:(?P<action>predict|classify|regress)", re.IGNORECASE)
_GET: Final = re.compile(rf"/v1/models/{_MODEL}(?:/(?P<action>metadata))?", re.IGNORECASE)
_LIST: Final = re.compile("/v1/models", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TfsPath:
    """What a path asks for. Names are percent-encoded, as they were sent; `model` is empty for a list."""

    action: str
    model: str = ""
    version: str | None = None
    label: str | None = None


def read_path(method: str, path: str) -> TfsPath | None:
    """What a request asks for; None where that is nothing of this API."""
    if method == "POST":
        found = _POST.fullmatch(path)
    else:
        if _LIST.fullmatch(path):
            return TfsPath(MODELS)
        found = _GET.fullmatch(path)
    if found is None:
        return None
    action = (found["action"] or STATUS).lower()
    return TfsPath(action, found["model"], found["version"], found["label"])


def version_number(version: str) -> str:
    """A version as TensorFlow Serving writes it: without leading zeros, where it is a number."""
    plain = unquote(version)
    return (plain.lstrip("0") or "0") if plain.isascii() and plain.isdigit() else plain
