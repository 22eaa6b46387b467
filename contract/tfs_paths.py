"""The paths of TensorFlow Serving's REST API, below `/v1`. Worker and proxy read them here. Pure.

Letters may be of any case, and a name ends before a slash or a colon. Source: tensorflow/serving,
`model_servers/http_rest_api_util.cc`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from tfleet.contract.identifiers import escaped
from tfleet.contract.problem import Problem


class TfsAction(StrEnum):
    """What a path asks for. The list of models is KServe's: TensorFlow Serving has none."""

    PREDICT = "predict"
    CLASSIFY = "classify"
    REGRESS = "regress"
    STATUS = "status"
    METADATA = "metadata"
    MODELS = "models"


RUNS: Final = (TfsAction.PREDICT, TfsAction.CLASSIFY, TfsAction.REGRESS)
_MODEL: Final = (
    r"(?P<prefix>/v1/models/(?P<model>[^/:]+))(?:/versions/(?P<version>[^/:]+)|/labels/(?P<label>[^/:]+))?"
)
_POST: Final = re.compile(rf"{_MODEL}(?P<rest>:(?P<action>predict|classify|regress))", re.IGNORECASE)
_GET: Final = re.compile(rf"{_MODEL}(?P<rest>(?:/(?P<action>metadata))?)", re.IGNORECASE)
_METHODS: Final = ("GET", "HEAD", "POST")
_LIST: Final = re.compile("/v1/models", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TfsPath:
    """What a path asks for. Names are percent-encoded, as they were sent; `model` is empty for a list.

    `prefix` is the path up to and with the model's name, `rest` what follows its version or label.
    """

    action: TfsAction
    model: str = ""
    version: str | None = None
    label: str | None = None
    prefix: str = ""
    rest: str = ""


def read_tfs_path(method: str, path: str) -> TfsPath | None:
    """What a request asks for, by its path as it was sent; None where that is nothing of this API."""
    if method == "POST":
        found = _POST.fullmatch(path)
    elif method not in {"GET", "HEAD"}:
        return None
    elif _LIST.fullmatch(path):
        return TfsPath(TfsAction.MODELS)
    else:
        found = _GET.fullmatch(path)
    if found is None:
        return None
    action = TfsAction((found["action"] or TfsAction.STATUS).lower())
    return TfsPath(action, found["model"], found["version"], found["label"], found["prefix"], found["rest"])


def is_tfs_path(path: str) -> bool:
    """Whether it is `/v1`, or below it."""
    return path[:4].lower() in {"/v1", "/v1/"}


def refused_request(method: str, path: str) -> Problem:
    """The answer to what is nothing of this API: 400 as there, and 405 for a method that it never has."""
    if method not in _METHODS and (allowed := [each for each in _METHODS if read_tfs_path(each, path)]):
        use = " or ".join(allowed)
        return Problem(405, f"{method} is not for {escaped(path)}: use {use}", allow=tuple(allowed))
    return Problem(
        400,
        f"Malformed request: {escaped(f'{method} {path}')}: there are POST "
        "/v1/models/NAME[/versions/N|/labels/L]:predict, :classify and :regress, and GET /v1/models and "
        "/v1/models/NAME[/versions/N|/labels/L][/metadata]",
    )
