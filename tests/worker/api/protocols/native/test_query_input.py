import pytest

from tests.worker.api.protocols.signatures import ABC, MIXED, TENSORS, VECTOR, VIDEO, info, signature, values
from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native import decode_query
from tfleet.worker.model.signature import Signature

RESERVED = frozenset({"top", "signature", "ticket"})


def test_a_query_is_one_row() -> None:
    decoded = decode_query([("name", "A b"), ("age", "36")], MIXED)
    assert values(decoded) == {"age": [36], "name": [[b"A b"]]}
    assert (decoded.rows, decoded.one_row) == (1, True)


def test_the_columns_of_a_vector_are_put_in_order() -> None:
    decoded = decode_query([("c", "3"), ("a", "1"), ("b", "2")], VECTOR, ABC)
    assert values(decoded) == {"G": [[1, 2, 3]]}


def test_scalars_without_rows_can_be_asked_for() -> None:
    decoded = decode_query([("x", "1.5")], signature(info("x", "float32", ())))
    assert values(decoded) == {"x": 1.5}
    assert decoded.whole


@pytest.mark.parametrize(
    ("model", "query", "said"),
    [
        (MIXED, "age=36", "the query lacks 'name'"),
        (MIXED, "age=36&name=a&x=1", "the query has 'x', unknown to the model"),
        (MIXED, "age=36&age=37&name=a", "the query has 'age' twice"),
        (MIXED, "age=old&name=a", "column 'age': 'old' is no int32"),
        (MIXED, "age=&name=a", "column 'age': the cell is empty"),
        (MIXED, "age=1&name=\ud800", "half of a surrogate pair"),
        (VECTOR, "a=1&b=2&c=3", "send rows as JSON, as lists of 3 values, or write columns = ["),
        (VIDEO, "video=1&question=2", "send JSON, an Arrow stream or .npz"),
        (TENSORS, "a=1&b=2", "without a dimension for rows"),
        (
            signature(info("top", "int32", (None,))),
            "",
            "'top' means something else in a query: columns called signature, ticket or top",
        ),
    ],
)
def test_a_bad_query_is_refused(model: Signature, query: str, said: str) -> None:
    pairs = [(name, value) for name, _, value in (part.partition("=") for part in query.split("&") if part)]
    with pytest.raises(ProblemError) as error:
        decode_query(pairs, model, reserved=RESERVED)
    assert error.value.problem.status == 400
    assert said in error.value.problem.detail
