import numpy as np
import pytest

from tests.worker.api.protocols.signatures import (
    ABC,
    COLUMNS,
    IMAGE,
    MIXED,
    SEQUENCE,
    TABLE,
    TENSORS,
    VECTOR,
    info,
    signature,
)
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native.layout import row_layout
from tfleet.worker.model.signature import Signature


@pytest.mark.parametrize(
    ("model", "plain"),
    [
        (TABLE, set(COLUMNS)),
        (MIXED, {"age", "name"}),
        (VECTOR, set()),
        (IMAGE, set()),
        (SEQUENCE, set()),
        (signature(info("x", "float32", (None, 1, 1))), set()),
    ],
)
def test_columns_are_inputs_of_one_value_in_a_row(model: Signature, plain: set[str]) -> None:
    layout = row_layout(model)
    assert layout.has_rows
    assert {name for name, cell in layout.cells.items() if cell.plain} == plain


@pytest.mark.parametrize(
    "model",
    [
        TENSORS,
        signature(info("x", "float32", (1, 28, 28))),
        signature(info("x", "float32", None)),
        signature(info("x", "float32", (None, 3)), info("training", "bool", ())),
        signature(),
    ],
)
def test_a_fixed_or_unknown_first_dimension_means_no_rows(model: Signature) -> None:
    assert not row_layout(model).has_rows


def test_an_optional_scalar_does_not_take_the_rows_away() -> None:
    layout = row_layout(
        signature(info("x", "float32", (None, 3)), info("keep", "float32", (), optional=True))
    )
    assert layout.row_names == ("x",)
    assert layout.extras == {"keep"}


@pytest.mark.parametrize(
    ("model", "columns", "said"),
    [
        (TABLE, ABC, "a model with one input, and this one has 10"),
        (VECTOR, ("a", "b"), "there are 2 columns, and the input is G float32"),
        (VECTOR, ("a", "b", "a"), "a column occurs twice"),
        (IMAGE, ABC, "columns are for an input of shape"),
        (signature(info("x", "float32", (1, 3))), ABC, "columns are for an input of shape"),
        (signature(info("x", "float32", None)), ABC, "columns are for an input of shape"),
    ],
)
def test_columns_that_do_not_fit_are_an_error(model: Signature, columns: tuple[str, ...], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", ".").replace("[", ".").replace("(", ".")):
        row_layout(model, columns)


def test_columns_name_a_vector_of_any_size() -> None:
    assert row_layout(signature(info("x", "float32", (None, None))), ABC).table_names("CSV") == ABC


def test_a_vector_is_put_together_in_the_dtype_of_the_input() -> None:
    parts = {name: np.full(2, number, np.float32) for number, name in enumerate(reversed(ABC))}
    vector = row_layout(VECTOR, ABC).assemble(parts)["G"]
    assert vector.dtype == np.float32
    assert vector.tolist() == [[2, 1, 0], [2, 1, 0]]


def test_a_column_may_have_the_name_of_the_input() -> None:
    layout = row_layout(VECTOR, ("G", "H", "I"))
    assert layout.by_column(["G", "H", "I"], "the row")
    assert not layout.by_column(["G"], "the row")
    with pytest.raises(ProblemError, match="the row lacks 'I'"):
        layout.by_column(["G", "H"], "the row")
