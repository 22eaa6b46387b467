"""Asks a model in this process, in all forms, alone and for many callers at once."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import structlog

from tests.models.answers import Golden, answer_types, check, one_row, read_answer
from tests.models.bodies import JSON, Request, bodies, single_rows
from tests.models.other_protocols import check_other_protocols
from tests.support.worker_http import serving
from tfleet.worker.api.protocols.native import decode, decode_query, encode
from tfleet.worker.inference.open_model import load_model
from tfleet.worker.inference.rows import maps_rows
from tfleet.worker.model.find import find_model
from tfleet.worker.model.keras.cache import as_saved_model

if TYPE_CHECKING:
    from tfleet.worker.inference.loaded_model import LoadedModel


_MOST_BODY_BYTES: Final = 32_000_000


@contextmanager
def loaded(path: Path, **options: Any) -> Iterator[LoadedModel]:
    """A model as a worker loads it, warmed up for batches of up to four."""
    spec = as_saved_model(find_model(path, **options), structlog.get_logger())
    with closing(load_model(spec, cpus=2)) as model:
        model.warm_up((1, 2, 4))
        yield model


def ask(
    model: LoadedModel, golden: Golden, request: Request, columns: tuple[str, ...], accept: str = JSON
) -> Any:
    """A request's answer, as a client reads it."""
    signature = model.session.signature(golden.signature)
    if request.query:
        decoded = decode_query(request.query, signature, columns)
    else:
        decoded = decode(request.body, request.media_type, signature, columns)
    rows = None if decoded.whole else decoded.rows
    result = model.predictor(golden.signature, decoded.inputs, rows=rows)
    return read_answer(encode(result.outputs, decoded, accept, signature), accept, golden.outputs)


def check_all_forms(model: LoadedModel, golden: Golden, columns: tuple[str, ...] = ()) -> None:
    """Every form that can hold the inputs gives the golden answer: all rows in one body, each alone, and
    all rows alone at once. So do the protocols below /v1 and /v2, over HTTP.

    The native contract is asked by its codecs. Over HTTP, the default signature of an image model takes only
    images from it, until its model.toml says `kind = "tensors"`: `test_golden_pictures.py` asks those as
    clients do.
    """
    rows = maps_rows(model.session.signature(golden.signature))
    for request in bodies(golden.inputs, columns, rows=rows):
        check(ask(model, golden, request, columns), golden.outputs, request.form)
    request = next(bodies(golden.inputs, columns, rows=rows))
    for accept in answer_types(golden, rows=rows):
        check(ask(model, golden, request, columns, accept), golden.outputs, f"{request.form} to {accept}")
    if rows:
        _check_single_rows(model, golden, columns)
    name = model.spec.name
    with serving(model, name=name, max_body_bytes=_MOST_BODY_BYTES) as (worker, _):
        check_other_protocols(worker.url, name, golden, rows=rows)


def _check_single_rows(model: LoadedModel, golden: Golden, columns: tuple[str, ...]) -> None:
    count = len(next(iter(golden.inputs.values())))
    asked = [
        (number, each) for number in range(count) for each in single_rows(golden.inputs, number, columns)
    ]
    for number, each in asked:
        check(ask(model, golden, each, columns), one_row(golden.outputs, number), each.form)
    with ThreadPoolExecutor(len(asked)) as threads:
        found = threads.map(lambda pair: ask(model, golden, pair[1], columns), asked)
        for (number, each), answer in zip(asked, found, strict=True):
            check(answer, one_row(golden.outputs, number), f"{each.form}, among others")
