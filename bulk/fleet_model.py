"""What a fleet says of its model, and a row of zeros to ask it with. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.sources.csv_cells import cell_type
from tfleet.worker.api.protocols.native.layout import RowLayout, row_layout
from tfleet.worker.api.protocols.problems import names_text, quoted
from tfleet.worker.model.signature import Signature, TensorInfo


@dataclass(frozen=True, slots=True)
class FleetModel:
    """What a fleet says of its model, and which signature is asked.

    `labels` is None for a signature without. With `images` it takes one image and no rows. `stated` is the
    signature that was asked for; None for the model's default.
    """

    name: str
    version: str
    signature: Signature
    columns: tuple[str, ...]
    labels: tuple[str, ...] | None
    images: bool = False
    stated: str | None = None

    def layout(self) -> RowLayout:
        """What its rows are."""
        return row_layout(self.signature, self.columns)


def fleet_model(document: Mapping[str, Any], signature: str | None = None) -> FleetModel:
    """The model of a worker's document, asked by a `signature` of it, or by its default one.

    Raises CannotScoreError for one that has no such signature, or whose rows cannot be scored.
    """
    label = f"{document['name']}/{document['version']}"
    if document.get("stateful"):
        raise CannotScoreError(
            f"{label}: keeps state between requests: its answers depend on the rows' order"
        )
    default, there = document.get("default_signature"), document["signatures"]
    name = default if signature is None else signature
    if name is None:
        raise CannotScoreError(
            f"{label}: has several signatures: choose one of {names_text(there)} with --signature"
        )
    if name not in there:
        raise CannotScoreError(f"{label}: has no signature {quoted(name)}; it has {names_text(there)}")
    # Labels, columns and the steps before the model are those of the default signature.
    is_default = name == default
    labels = document.get("labels") if is_default else None
    return FleetModel(
        document["name"],
        document["version"],
        Signature(name, _infos(there[name]["inputs"]), _infos(there[name]["outputs"])),
        tuple(document.get("columns") or ()) if is_default else (),
        None if labels is None else tuple(labels),
        images=is_default and document.get("preprocessing") is not None,
        stated=signature,
    )


def _infos(tensors: Mapping[str, Mapping[str, Any]]) -> tuple[TensorInfo, ...]:
    return tuple(
        TensorInfo(
            name,
            "",
            each["dtype"],
            None if each["shape"] is None else tuple(each["shape"]),
            bool(each.get("optional")),
        )
        for name, each in sorted(tensors.items())
    )


def zeros(layout: RowLayout) -> pa.RecordBatch:
    """One row of zeros and empty texts, with all columns that a model takes."""
    columns = {}
    for name in layout.columns or layout.row_names:
        if layout.columns:
            columns[name] = pa.array([0], cell_type(layout.column_info(name)))
            continue
        cell = layout.cells[name]
        value: Any = {"string": "", "bool": False}.get(cell.info.dtype, 0)
        kind = cell_type(cell.info)
        for size in reversed(() if cell.plain else cell.dims):
            value, kind = [value] * (size or 1), pa.list_(kind)
        columns[name] = pa.array([value], kind)
    return pa.record_batch(columns)
