"""What the native paths take and answer for a signature: rows or tensors, labels or outputs. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Final

from tfleet.contract.example_values import MOST_SHOWN, example_row, sample, shown_values, takes_rows
from tfleet.contract.names import EMBEDDING, TICKET_QUERY
from tfleet.contract.openapi.calls import ANSWER_HEADERS, query
from tfleet.contract.openapi.described import ModelDescription, SignatureDescription, TensorDescription
from tfleet.contract.openapi.schemas import (
    JSON,
    Json,
    Named,
    answer,
    any_of,
    body,
    content,
    has_json_form,
    list_of,
    raw,
    record,
    schema,
    tensor_schema,
    value_schema,
)

CSV: Final = "text/csv"
ARROW: Final = "application/vnd.apache.arrow.stream"
NPY: Final = "application/x-npy"
NPZ: Final = "application/x-npz"
_RESERVED: Final = frozenset({"top", "signature", TICKET_QUERY})


def is_image(model: ModelDescription, signature: SignatureDescription) -> bool:
    """Whether the signature is asked with an image."""
    return model.takes_images and signature.name == model.default_signature


def _has_labels(model: ModelDescription, signature: SignatureDescription) -> bool:
    return model.classes > 0 and signature.name == model.default_signature


def top_parameter(model: ModelDescription, signature: SignatureDescription) -> list[Json]:
    """`?top=N`, where the answer has labels; else nothing."""
    if not _has_labels(model, signature):
        return []
    number = {"type": "integer", "minimum": 1, "maximum": model.classes}
    return [query("top", number, "How many labels, best first.")]


def _columns(model: ModelDescription, signature: SignatureDescription) -> tuple[str, ...]:
    return model.columns if signature.name == model.default_signature else ()


def plain_columns(model: ModelDescription, signature: SignatureDescription) -> dict[str, str]:
    """The dtypes of the columns that a query or a CSV file may have; empty where there are none."""
    columns, inputs = _columns(model, signature), signature.inputs
    if not takes_rows(inputs) or not _in_text(inputs):
        return {}
    if columns:
        found = dict.fromkeys(columns, inputs[0].dtype)
    else:
        given = [info for info in inputs if not info.optional]
        if any(info.shape is None or info.shape[1:] not in {(), (1,)} for info in given):
            return {}
        found = {info.name: info.dtype for info in given}
    return {} if _RESERVED & found.keys() else found


def input_body(model: ModelDescription, signature: SignatureDescription, named: Named) -> Json:
    """JSON in all its forms, and the others that the signature has."""
    inputs = signature.inputs
    rows = takes_rows(inputs) and _in_text(inputs)
    others = [NPZ, *([ARROW] if rows else []), *([NPY] if len(inputs) == 1 else [])]
    return body(_json_input(model, signature, named), _csv(model, signature), raw(*others))


def _json_input(model: ModelDescription, signature: SignatureDescription, named: Named) -> Json:
    """The forms of a JSON document; nothing for types that JSON has not."""
    inputs, columns = signature.inputs, _columns(model, signature)
    if not _in_text(inputs):
        return {}
    optional = [info.name for info in inputs if info.optional]
    if takes_rows(inputs):
        cells = {info.name: _row_value(info) for info in inputs if _is_part_of_rows(info)}
        found = []
        if columns:
            by_column = dict.fromkeys(columns, value_schema(inputs[0].dtype))
            found = [*_forms(by_column, (), named, ""), *_forms(cells, optional, named, "_by_input")]
        else:
            found = _forms(cells, optional, named, "")
        if len(cells) == 1 and not columns:
            (value,) = cells.values()
            found += [value, list_of(value)]
    else:
        tensors = record({info.name: tensor_schema(info.dtype, info.shape) for info in inputs}, optional)
        found = [named("tensors", tensors)]
    return content(JSON, any_of(*found), _shown(signature, columns))


def _shown(signature: SignatureDescription, columns: Sequence[str]) -> Json:
    """Examples; none that would be long."""
    inputs = signature.inputs
    if shown_values(inputs) > MOST_SHOWN or not signature.can_be_shown:
        return {}
    row = example_row(inputs, columns)
    return {"one row": row, "rows": [row, row]} if takes_rows(inputs) else {"tensors": row}


def _in_text(tensors: Sequence[TensorDescription]) -> bool:
    """Whether JSON, CSV and Arrow have values of these types. Others are sent as NumPy writes them."""
    return all(has_json_form(info.dtype) for info in tensors)


def _csv(model: ModelDescription, signature: SignatureDescription) -> Json:
    """A file with a line for each row; nothing where the signature has no such columns."""
    columns = plain_columns(model, signature)
    if not columns:
        return {}
    values = (json.dumps(sample(dtype)) for dtype in columns.values())
    names = (name.replace('"', '""') for name in columns)
    lines = [",".join(f'"{name}"' for name in names), ",".join(values)]
    # A serialized tf.Example is no text.
    in_text = signature.can_be_shown and all(info.tf_example is None for info in signature.inputs)
    fits = in_text and len(columns) <= MOST_SHOWN
    shown = {"a row in CSV": "\n".join([*lines, ""])} if fits else {}
    return content(CSV, {"type": "string"}, shown)


def _forms(cells: Mapping[str, Json], optional: Sequence[str], named: Named, suffix: str) -> list[Json]:
    """A row, rows, and columns."""
    row = named(f"row{suffix}", record(cells, optional))
    columns = record({name: list_of(cell) for name, cell in cells.items()}, optional)
    return [row, {**list_of(row), "minItems": 1}, named(f"columns{suffix}", columns)]


def _is_part_of_rows(info: TensorDescription) -> bool:
    return bool(info.shape) and info.shape is not None and info.shape[0] is None


def _row_value(info: TensorDescription) -> Json:
    """What a row has of an input. A column of one value in each row is plain."""
    dims = None if info.shape is None else info.shape[1:]
    return tensor_schema(info.dtype, () if dims == (1,) else dims)


def outputs_answer(model: ModelDescription, signature: SignatureDescription, named: Named) -> Json:
    """Labels or outputs as JSON, and outputs in the other forms."""
    rows = takes_rows(signature.inputs)
    if _has_labels(model, signature):
        found = schema("LabelAnswer")
    else:
        outputs = {info.name: _output(info, rows=rows) for info in signature.outputs}
        found = named("outputs", record({"success": {"const": True}, "outputs": record(outputs)}))
    in_text = _in_text(signature.outputs)
    tables = [ARROW, CSV] if rows and in_text else []
    others = [NPZ, *tables, *([NPY] if len(signature.outputs) == 1 else [])]
    return answer(
        "What the model answers. One row gets its outputs without a dimension for rows.",
        content(JSON, found) if in_text else {},
        raw(*others),
        headers=ANSWER_HEADERS,
    )


def vector_answer(model: ModelDescription) -> Json:
    """The vector of one image, as a model with one output would answer it."""
    vector = record({"embedding": tensor_schema("float32", (model.embedding,))})
    space = {
        "description": "The same for vectors that can be compared.",
        "schema": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
    }
    return answer(
        "The vector of the image.",
        content(JSON, record({"success": {"const": True}, "outputs": vector})),
        raw(NPZ, ARROW, CSV, NPY),
        headers={**ANSWER_HEADERS, EMBEDDING: space},
    )


def _output(info: TensorDescription, *, rows: bool) -> Json:
    """An output. One with a dimension for rows loses it in the answer for one row."""
    whole = tensor_schema(info.dtype, info.shape)
    if not rows or info.shape is None or not _is_part_of_rows(info):
        return whole
    return any_of(tensor_schema(info.dtype, info.shape[1:]), whole)
