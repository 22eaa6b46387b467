"""Models as the document describes them: frozen values, read from a worker's page `GET /models/NAME`.

Proxy and worker make the document from the same page, so that both say the same. Another process wrote the
page that a proxy reads: it is checked here, and what is too large for a document is left out and counted.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from tfleet.contract.example_values import ShownExample
from tfleet.contract.tfs_signatures import answers_classes, answers_values, takes_examples

MOST_SIGNATURES: Final = 8
"""So many signatures of a model are described; the default one is always among them."""
MOST_TENSORS: Final = 256
"""A signature with more inputs and outputs is not described."""
_MOST_DIMS: Final = 32
_MOST_CHARS: Final = 512
_IMAGE: Final = "image"
_BASE64: Final = re.compile(r"[A-Za-z0-9+/=]{0,8192}")


class ModelPageError(ValueError):
    """The page is not one that a worker writes. The message is one line that says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class TensorDescription:
    """An input or output. A `shape` of None is an unknown rank, a size of None any size.

    An `optional` input may be left out. `tf_example` is one that an input takes that parses tf.Example.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...] | None
    optional: bool = False
    tf_example: ShownExample | None = None


@dataclass(frozen=True, slots=True)
class SignatureDescription:
    """A function of a model.

    `embedding` is how many numbers the vector has that the model has for the same input; 0 where it has none.
    """

    name: str
    inputs: tuple[TensorDescription, ...]
    outputs: tuple[TensorDescription, ...]
    embedding: int = 0

    @property
    def classifies(self) -> bool:
        """Whether `:classify` can ask it."""
        return takes_examples(self.inputs) and answers_classes(self.outputs)

    @property
    def regresses(self) -> bool:
        """Whether `:regress` can ask it."""
        return takes_examples(self.inputs) and answers_values(self.outputs)

    @property
    def can_be_shown(self) -> bool:
        """Whether values for its inputs can be made up: not for a tf.Example of unknown features."""
        unknown = any(info.tf_example is None for info in self.inputs)
        return not (unknown and (self.classifies or self.regresses))


@dataclass(frozen=True, slots=True)
class ModelDescription:
    """One version of a model, and how it is asked.

    `default_signature` is the one of a request that names none; None where each has to name one. It is the
    first of `signatures`: tools take the first form that fits an answer. `classes` is the number of its
    labels, 0 if its answers have none. `columns` are the names of the places in the vector of a table with
    one input. `left_out` is how many signatures are not in `signatures`.
    """

    name: str
    version: str
    kind: str
    default_signature: str | None
    signatures: tuple[SignatureDescription, ...]
    classes: int = 0
    columns: tuple[str, ...] = ()
    left_out: int = 0

    @property
    def tensors(self) -> int:
        """How many inputs and outputs are described."""
        return sum(len(each.inputs) + len(each.outputs) for each in self.signatures)

    @property
    def takes_images(self) -> bool:
        """Whether the default signature takes images."""
        return self.kind == _IMAGE

    @property
    def embedding(self) -> int:
        """How many numbers the vector of an image has; 0 where the model has no embedding."""
        return 0 if self.default is None else self.default.embedding

    @property
    def default(self) -> SignatureDescription | None:
        """The default signature; None if there is none, or if it is not described."""
        return next((each for each in self.signatures if each.name == self.default_signature), None)


def read_model_page(page: object) -> ModelDescription:
    """What the page says. Raises ModelPageError."""
    document = _object(page, "the page")
    default = document.get("default_signature")
    if default is not None:
        default = _text(default, "default_signature")
    embedding = _embedding(document.get("embedding"))
    found = _object(document.get("signatures"), "signatures")
    names = sorted(found, key=lambda name: (name != default, name))
    # A path can't have an empty name in it.
    signatures = [
        read
        for name in names[:MOST_SIGNATURES]
        if name and (read := _signature(_text(name, "the name of a signature"), found[name])) is not None
    ]
    signatures = [replace(each, embedding=embedding) if each.name == default else each for each in signatures]
    labels, columns = document.get("labels"), document.get("columns")
    return ModelDescription(
        name=_text(document.get("name"), "name", least_chars=1),
        version=_text(document.get("version"), "version", least_chars=1),
        kind=_text(document.get("kind"), "kind"),
        default_signature=default,
        signatures=tuple(signatures),
        classes=0 if labels is None else len(_list(labels, "labels")),
        columns=() if columns is None else _columns(columns),
        left_out=len(names) - len(signatures),
    )


def _embedding(value: object) -> int:
    """The size of vectors; 0 where there are none, as on the page of a worker that knows of none."""
    if value is None:
        return 0
    size = _object(value, "embedding").get("size")
    if type(size) is not int or size < 1:
        raise ModelPageError("size of embedding is no number above 0")
    return size


def _signature(name: str, value: object) -> SignatureDescription | None:
    """The signature; None for one with too many tensors."""
    where = f"signature {name!r}"
    members = _object(value, where)
    inputs, outputs = (_object(members.get(key), f"{key} of {where}") for key in ("inputs", "outputs"))
    if len(inputs) + len(outputs) > MOST_TENSORS:
        return None
    return SignatureDescription(name, _tensors(inputs, where), _tensors(outputs, where))


def _tensors(found: Mapping[str, Any], where: str) -> tuple[TensorDescription, ...]:
    return tuple(
        _tensor(_text(name, f"the name of a tensor of {where}"), value) for name, value in found.items()
    )


def _tensor(name: str, value: object) -> TensorDescription:
    where = f"tensor {name!r}"
    members = _object(value, where)
    optional = members.get("optional", False)
    if not isinstance(optional, bool):
        raise ModelPageError(f"optional of {where} is neither true nor false")
    dtype, shape = _text(members.get("dtype"), f"dtype of {where}"), members.get("shape")
    example = None if "tf_example" not in members else _example(members["tf_example"], where)
    return TensorDescription(name, dtype, None if shape is None else _shape(shape, where), optional, example)


def _example(value: object, where: str) -> ShownExample | None:
    """The tf.Example; None for one that is too long for a document."""
    members = _object(value, f"tf_example of {where}")
    found = _object(members.get("features"), f"features of {where}")
    text = members.get("b64")
    if not isinstance(text, str) or not _BASE64.fullmatch(text):
        raise ModelPageError(f"tf_example of {where} has no base64 in b64")
    features = tuple(
        (_text(name, f"the name of a feature of {where}"), _values(values, where))
        for name, values in found.items()
    )
    counted = sum(len(values) for _, values in features)
    return ShownExample(features, text) if max(counted, len(features)) <= MOST_TENSORS else None


def _values(value: object, where: str) -> tuple[str | int | float, ...]:
    found = _list(value, f"a feature of {where}")
    fits = (isinstance(each, str) or (type(each) in {int, float} and math.isfinite(each)) for each in found)
    if not all(fits):
        raise ModelPageError(f"a feature of {where} has something else than numbers and texts")
    return tuple(_text(each, where) if isinstance(each, str) else each for each in found)


def _shape(value: object, where: str) -> tuple[int | None, ...] | None:
    """The shape; None for one of more dimensions than a schema is written for."""
    sizes = _list(value, f"shape of {where}")
    if any(size is not None and (type(size) is not int or size < 0) for size in sizes):
        raise ModelPageError(f"shape of {where} has something else than sizes and null")
    return tuple(sizes) if len(sizes) <= _MOST_DIMS else None


def _columns(value: object) -> tuple[str, ...]:
    found = _list(value, "columns")
    return tuple(_text(each, "columns") for each in found) if len(found) <= MOST_TENSORS else ()


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ModelPageError(f"{where} is no object")
    return value


def _list(value: object, where: str) -> list[Any]:
    if not isinstance(value, list):
        raise ModelPageError(f"{where} is no list")
    return value


def _text(value: object, where: str, least_chars: int = 0) -> str:
    fits = isinstance(value, str) and least_chars <= len(value) <= _MOST_CHARS
    if not isinstance(value, str) or not fits or not _is_unicode(value):
        raise ModelPageError(f"{where} is no text of {least_chars} to {_MOST_CHARS} characters")
    return value


def _is_unicode(text: str) -> bool:
    """Whether it can be part of a path: JSON may escape half of a pair of surrogates."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
