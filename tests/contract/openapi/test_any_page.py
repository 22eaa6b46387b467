"""Whatever a worker says of its model, it is refused, or makes a document that is right in itself."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.contract.openapi.models import server
from tests.support.openapi import OpenApiDocument
from tfleet.contract.openapi.described import ModelPageError, read_model_page
from tfleet.contract.openapi.document import openapi_document
from tfleet.contract.openapi.places import ServedVersion

_COMPONENT = re.compile(r"[A-Za-z0-9._-]+")
_REFERENCE = re.compile(r'"\$ref": ("[^"]*")')
_NAMES = st.text(max_size=8) | st.sampled_from(["x", "a b", "a/b", "{x}", "labels"])
_TENSORS = st.dictionaries(
    _NAMES,
    st.fixed_dictionaries(
        {
            "dtype": st.sampled_from(["float32", "int64", "bool", "string", "complex64", "variant", ""]),
            "shape": st.none() | st.lists(st.none() | st.integers(0, 2**63), max_size=4),
            "optional": st.booleans(),
        }
    ),
    max_size=3,
)
_PAGES = st.fixed_dictionaries(
    {
        "name": _NAMES,
        "version": _NAMES,
        "kind": st.sampled_from(["image", "table", "tensors", ""]),
        "default_signature": st.none() | st.sampled_from(["x", "a b"]),
        "labels": st.none() | st.lists(_NAMES, max_size=2),
        "columns": st.none() | st.lists(_NAMES, max_size=2),
        "signatures": st.dictionaries(
            _NAMES, st.fixed_dictionaries({"inputs": _TENSORS, "outputs": _TENSORS}), max_size=3
        ),
    }
)


@pytest.mark.process
@given(_PAGES)
@settings(max_examples=60, deadline=None, derandomize=True)
def test_any_page_of_a_worker_makes_a_document(page: Any) -> None:
    try:
        model = read_model_page(page)
    except ModelPageError:
        return
    found = OpenApiDocument(
        json.loads(
            json.dumps(openapi_document(server(), [ServedVersion(model, for_all=True, labels=("l",))]))
        )
    )
    for kind, components in found.content["components"].items():
        assert all(_COMPONENT.fullmatch(name) for name in components), kind
    for reference in _REFERENCE.findall(json.dumps(found.content)):
        found.resolved({"$ref": json.loads(reference)})
    for method, path, _, schema, value in found.examples():
        assert found.faults(schema, value) == [], (method, path, value)
