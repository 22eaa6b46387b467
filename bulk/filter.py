"""`--filter`: a condition on the columns of a row, in the syntax of a Python expression.

    G1 == 1 and (price > 9.5 or city in ("Bern", "Basel")) and comment is not None
    col("a b") != "x" and number("age") >= 18

`col` is for names that are no words of Python, and `number` for numbers in a column of text, such as those of
CSV: what is no number is null. The text is parsed, and never run. A comparison with a null is neither true
nor false, as in SQL, and the row is left out.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from tfleet.bulk.errors import CannotScoreError

_MAX_CHARS: Final = 10_000
_COMPARE: Final[Mapping[type[ast.cmpop], Callable[..., Any]]] = {
    ast.Eq: pc.equal,
    ast.NotEq: pc.not_equal,
    ast.Lt: pc.less,
    ast.LtE: pc.less_equal,
    ast.Gt: pc.greater,
    ast.GtE: pc.greater_equal,
}
_NULL: Final[Mapping[type[ast.cmpop], Callable[..., Any]]] = {ast.Is: pc.is_null, ast.IsNot: pc.is_valid}
_MOST: Final = 2**64  # columns have integers from -2**63 on, and below this
_NUMBER: Final = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_ALL_INTEGERS: Final = pa.decimal128(20, 0)  # has all values of int64 and of uint64
_HELP: Final = "columns, numbers, texts, ==, !=, <, <=, >, >=, in, is None, and, or, not"


@dataclass(frozen=True, slots=True)
class RowFilter:
    """A condition. `names` are the columns that it looks at."""

    text: str
    names: frozenset[str]
    _tree: ast.expr = field(repr=False)

    def mask(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Which rows pass. Raises CannotScoreError for values that cannot be compared."""
        try:
            found = _value(self._tree, batch)
        except pa.ArrowNotImplementedError as error:
            types = ", ".join(f"{name} ({batch.schema.field(name).type})" for name in sorted(self.names))
            raise CannotScoreError(
                f"--filter {self.text!r}: compares values of different types; the columns are {types}. "
                "For numbers in a text write number(NAME)"
            ) from error
        except (pa.ArrowException, TypeError, OverflowError) as error:
            raise CannotScoreError(f"--filter {self.text!r}: {_first_line(error)}") from error
        if not isinstance(found, pa.Array) or not pa.types.is_boolean(found.type):
            raise CannotScoreError(
                f"--filter {self.text!r}: is no condition: compare the column with a value"
            )
        mask: npt.NDArray[np.bool_] = pc.fill_null(found, False).to_numpy(zero_copy_only=False).copy()
        return mask


def parse_filter(text: str) -> RowFilter:
    """The condition. Raises CannotScoreError for a text that is none."""
    if len(text) > _MAX_CHARS:
        raise CannotScoreError(f"--filter has more than {_MAX_CHARS} characters")
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        names = frozenset(_names(tree))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = error.msg if isinstance(error, SyntaxError) else str(error)
        raise CannotScoreError(f"--filter {text!r}: {said}; it may have {_HELP}") from error
    return RowFilter(text, names, tree)


def _names(node: ast.expr) -> set[str]:
    """The columns in an expression. Raises ValueError for what a filter may not have."""
    name = _column(node)
    if name is not None:
        return {name}
    match node:
        case ast.BoolOp(values=values):
            return set().union(*map(_names, values))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return _names(operand)
        case ast.Compare(left=left, ops=ops, comparators=others):
            for op, other in zip(ops, others, strict=True):
                _check_operation(op, other)
            sides = [left, *(other for op, other in zip(ops, others, strict=True) if type(op) in _COMPARE)]
            return set().union(*map(_names, sides))
        case _:
            _literal(node)
            return set()


def _column(node: ast.expr) -> str | None:
    """The column that a node names; None if it is no column."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Call(func=ast.Name(id="col" | "number"), args=[ast.Constant(value=str(name))], keywords=[]):
            return name
        case ast.Call(func=ast.Name(id="number"), args=[ast.Name(id=name)], keywords=[]):
            return name
        case _:
            return None


def _check_operation(op: ast.cmpop, other: ast.expr) -> None:
    if isinstance(op, ast.In | ast.NotIn):
        if not isinstance(other, ast.Tuple | ast.List):
            raise ValueError("what follows `in` has to be a list of values in parentheses")
        for each in other.elts:
            _literal(each)
    is_none = isinstance(other, ast.Constant) and other.value is None
    if isinstance(op, ast.Is | ast.IsNot) and not is_none:
        raise ValueError("what follows `is` has to be None")


def _literal(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=bool() | int() | float() | str() as value):
            pass
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            value = -value
        case _:
            raise ValueError(f"{ast.unparse(node)[:40]!r} is not allowed")
    if isinstance(value, int) and not -_MOST // 2 <= value < _MOST:
        raise ValueError(f"{ast.unparse(node)[:40]} has more than 64 bits")
    return value


def _value(node: ast.expr, batch: pa.RecordBatch) -> Any:
    """The value of an expression for each row, or one for all of them."""
    name = _column(node)
    if name is not None:
        column = batch.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.dictionary_decode()
        number = isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "number"
        return _as_number(column) if number else column
    match node:
        case ast.BoolOp(op=junction, values=values):
            both = pc.and_kleene if isinstance(junction, ast.And) else pc.or_kleene
            first, *rest = (_value(each, batch) for each in values)
            for other in rest:
                first = both(first, other)
            return first
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return pc.invert(_value(operand, batch))
        case ast.Compare(left=left, ops=ops, comparators=others):
            found = None
            for op, other in zip(ops, others, strict=True):
                one = _compared(_value(left, batch), op, other, batch)
                found = one if found is None else pc.and_kleene(found, one)
                left = other
            return found
        case _:
            return _scalar(_literal(node))


def _scalar(value: Any) -> pa.Scalar:
    return _array([value])[0]


def _array(values: list[Any]) -> pa.Array:
    """Arrow takes integers for int64, and only uint64 has the largest ones."""
    large = any(isinstance(value, int) and value >= _MOST // 2 for value in values)
    return pa.array(values, pa.uint64() if large else None)


def _compared(value: Any, op: ast.cmpop, other: ast.expr, batch: pa.RecordBatch) -> Any:
    if type(op) in _COMPARE:
        return _COMPARE[type(op)](*_alike(value, _value(other, batch)))
    if type(op) in _NULL:
        return _NULL[type(op)](value)
    assert isinstance(other, ast.Tuple | ast.List), "the parser has checked it"
    among = _array([_literal(each) for each in other.elts])
    if len(among):
        # It fails for what `==` would: a cast makes 18 of a list the text "18", and "018" would not be it.
        pc.equal(*_alike(value, among[0]))
    found = pc.is_in(value, value_set=among.cast(value.type))
    found = pc.if_else(pc.is_valid(value), found, pa.scalar(None, pa.bool_()))
    return pc.invert(found) if isinstance(op, ast.NotIn) else found


def _alike(left: Any, right: Any) -> tuple[Any, Any]:
    """Both sides in types that Arrow compares whatever their values are: its own casts fail out of range."""
    return _beside(left, right), _beside(right, left)


def _beside(value: Any, other: Any) -> Any:
    is_column = isinstance(other, pa.Array)
    if pa.types.is_floating(value.type) and pa.types.is_floating(other.type):
        # Or 0.1 beside a column of float32 would not be 0.1.
        return value.cast(other.type) if is_column and isinstance(value, pa.Scalar) else value
    if not pa.types.is_integer(value.type):
        return value
    if pa.types.is_floating(other.type):
        return value.cast(pa.float64(), safe=False)  # the nearest one, as in SQL
    if (
        pa.types.is_integer(other.type)
        and value.type != other.type
        and pa.uint64() in {value.type, other.type}
    ):
        return value.cast(_ALL_INTEGERS)
    return value


def _as_number(column: pa.Array) -> pa.Array:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column if pa.types.is_integer(column.type) else column.cast(pa.float64())
    plain = pc.match_substring_regex(column, _NUMBER)
    return pc.utf8_trim_whitespace(pc.if_else(plain, column, pa.scalar(None, column.type))).cast(pa.float64())


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
