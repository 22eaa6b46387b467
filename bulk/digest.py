"""Digests: of a model with all that changes its answers, and of the run that a part belongs to."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tfleet.worker.model.digest import files_digest, model_files

if TYPE_CHECKING:
    from tfleet.worker.model.spec import ModelSpec


def model_digest(spec: ModelSpec) -> str:
    """The SHA-256 of the model's files and of its description. Where the files lie changes nothing."""
    whole = files_digest(model_files(spec))
    serving = replace(spec.serving, converted_from=None)
    whole.update(repr((spec.labels, spec.input, spec.output, serving)).encode())
    return whole.hexdigest()


def document_digest(document: Mapping[str, Any]) -> str:
    """The SHA-256 of a JSON document, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
