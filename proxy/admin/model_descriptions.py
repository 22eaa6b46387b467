"""What the models of a fleet take and answer: one ready worker of each version is asked for its page.

No worker is waited for longer than a few seconds. What nobody has described is named with the reason.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

import aiohttp

from tfleet.contract.names import MODELS_PATH
from tfleet.contract.openapi.described import ModelDescription, ModelPageError, read_model_page
from tfleet.contract.problem import ProblemError
from tfleet.discovery.version_order import version_rank
from tfleet.proxy.admin.worker_page import page_failure, worker_page
from tfleet.proxy.admin.workers import WorkerRow
from tfleet.proxy.balancing.member import WorkerState
from tfleet.proxy.balancing.versions import ModelVersion

MOST_VERSIONS: Final = 64
"""So many versions of models are described, the first in the order of their names."""
ASKED_S: Final = 3.0
"""So long the workers have, all together."""
MOST_TENSORS: Final = 4096
"""So many inputs and outputs of all versions together are described: a document has a kilobyte for each."""
_AT_ONCE: Final = 16
_WHAT: Final = "description"


@dataclass(frozen=True, slots=True)
class Descriptions:
    """What was found out of the versions: descriptions, and reasons why there is none."""

    models: Mapping[ModelVersion, ModelDescription]
    missing: Mapping[ModelVersion, str]


def workers_to_ask(rows: Sequence[WorkerRow]) -> dict[ModelVersion, WorkerRow]:
    """A ready worker of each version, by model and version."""
    found: dict[ModelVersion, WorkerRow] = {}
    for row in rows:
        if row.state is WorkerState.READY:
            found.setdefault(ModelVersion(row.instance.model, row.instance.version), row)
    ordered = sorted(found, key=lambda key: (key.model, version_rank(key.version)))
    return {key: found[key] for key in ordered}


async def describe(
    session: aiohttp.ClientSession, asked: Mapping[ModelVersion, WorkerRow], within_s: float = ASKED_S
) -> Descriptions:
    """Ask these workers, a few at a time."""
    models: dict[ModelVersion, ModelDescription] = {}
    missing = dict.fromkeys(asked, f"its worker gave no description within {within_s:g} s")
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(key: ModelVersion, row: WorkerRow) -> None:
        async with gate:
            try:
                models[key] = await _description(session, row)
            except ProblemError as error:
                missing[key] = error.problem.detail

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within_s), asyncio.TaskGroup() as group:
            for number, (key, row) in enumerate(asked.items()):
                if number < MOST_VERSIONS:
                    group.create_task(ask(key, row))
                else:
                    missing[key] = f"at most {MOST_VERSIONS} versions are described"
    unknown = {key: why for key, why in missing.items() if key not in models}
    return bounded(Descriptions({key: models[key] for key in asked if key in models}, unknown))


def bounded(found: Descriptions, most_tensors: int = MOST_TENSORS) -> Descriptions:
    """Without the versions that would make the document too large, as the last of `missing`."""
    models: dict[ModelVersion, ModelDescription] = {}
    missing = dict(found.missing)
    left = most_tensors
    for key, model in found.models.items():
        if model.tensors <= left:
            models[key] = model
            left -= model.tensors
        else:
            missing[key] = f"at most {most_tensors} inputs and outputs of all versions are described"
    return Descriptions(models, missing)


async def _description(session: aiohttp.ClientSession, row: WorkerRow) -> ModelDescription:
    """What one worker says. Raises ProblemError (502)."""
    instance = row.instance
    name = instance.model or await _name(session, row)
    page = await worker_page(session, row, f"{MODELS_PATH}/{quote(name, safe='')}", _WHAT)
    try:
        found = await asyncio.to_thread(lambda: read_model_page(_parsed(page)))
    except ModelPageError as error:
        raise page_failure(row, f"gave a description that can't be read: {error}") from error
    if instance.model and (found.name, found.version) != (instance.model, instance.version):
        raise page_failure(row, "described another model than the one that it is registered with")
    return found


async def _name(session: aiohttp.ClientSession, row: WorkerRow) -> str:
    """The name of the model of a worker in a static list, which says nothing of models."""
    page = await worker_page(session, row, MODELS_PATH, "list of models")
    try:
        name = _parsed(page)["models"][0]["name"]
    except (ModelPageError, LookupError, TypeError):
        name = None
    if not isinstance(name, str):
        raise page_failure(row, "gave a list of models that can't be read")
    return name


def _parsed(page: bytes) -> Any:
    try:
        return json.loads(page)
    except (ValueError, RecursionError) as error:
        raise ModelPageError("it is no JSON") from error
