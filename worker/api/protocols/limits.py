"""What a body may cost. Each limit is checked before the cost arises."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Self

from tfleet.contract.names import MAX_BODY_BYTES
from tfleet.worker.api.protocols.problems import too_large

TIMES_BODY_BYTES: Final = 8
"""What a body may become, in bytes of the largest one: an int8 for an input of float64 takes eight times as
much."""


def _without_budget(size: int) -> None:
    """What is decoded outside a worker shares its memory with no other request."""


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The most of everything in one body.

    `values` counts what becomes an object of Python: the numbers, strings and lists of a JSON document, the
    strings of any form, and what an answer writes one by one. Each takes about 40 bytes while it is parsed,
    and a tenth of a microsecond or more.
    `json_objects` counts braces: an object takes over 200 bytes.
    `tensor_bytes` holds for all inputs together, as the session gets them, for what a compressed body
    becomes, and for all outputs together.
    `reserve` is called with the bytes that something is about to take, each time in addition to those before.
    It may raise; see input_budget.py.
    """

    body_bytes: int = MAX_BODY_BYTES
    rows: int = 65_536
    tensor_bytes: int = TIMES_BODY_BYTES * MAX_BODY_BYTES
    values: int = 2_097_152
    json_objects: int = 262_144
    csv_cells: int = 1_048_576
    arrow_batches: int = 4_096
    reserve: Callable[[int], None] = _without_budget

    @classmethod
    def of(cls, max_body_bytes: int, reserve: Callable[[int], None] = _without_budget) -> Self:
        """The limits of a worker that takes bodies of so many bytes."""
        return cls(max_body_bytes, tensor_bytes=TIMES_BODY_BYTES * max_body_bytes, reserve=reserve)

    def check_body(self, size: int) -> None:
        """Raise ProblemError (413) for a body of more bytes than allowed."""
        if size > self.body_bytes:
            raise too_large(
                f"the body has {size} bytes, more than the {self.body_bytes} allowed: send fewer rows at once"
            )

    def check_rows(self, rows: int) -> None:
        """Raise ProblemError (413) for more rows than allowed."""
        if rows > self.rows:
            raise too_large(
                f"the body has {rows} rows, more than the {self.rows} allowed: send them in several requests"
            )

    def check_strings(self, count: int) -> None:
        """Raise ProblemError (413) for more strings than allowed."""
        if count > self.values:
            raise too_large(
                f"the body has {count} strings, more than the {self.values} allowed: send fewer rows at once"
            )

    def check_labels(self, rows: int, top: int) -> None:
        """Raise ProblemError (413) for an answer with more labels than a body may have values."""
        if rows * top > self.values:
            raise too_large(
                f"an answer with {top} labels for each of {rows} rows has more than the {self.values} labels "
                "allowed: send fewer rows at once, or ask for a smaller ?top="
            )

    def check_written(self, count: int, what: str) -> None:
        """Raise ProblemError (413) for an answer of which more values than allowed would become objects."""
        if count > self.values:
            raise too_large(
                f"the answer has {count} {what}, more than the {self.values} allowed: send fewer rows at "
                "once, or ask for an Arrow stream"
            )

    def check_together(self, size: int) -> None:
        """Raise ProblemError (413) for inputs that together have more bytes than allowed."""
        if size > self.tensor_bytes:
            raise too_large(
                f"the inputs together take more than the {self.tensor_bytes} bytes allowed: send fewer rows "
                "at once"
            )

    def check_outputs(self, size: int) -> None:
        """Raise ProblemError (413) for outputs that together have more bytes than allowed."""
        if size > self.tensor_bytes:
            raise too_large(
                f"the model's outputs take {size} bytes, more than the {self.tensor_bytes} allowed: send "
                "fewer rows at once, or smaller ones"
            )

    def check_tensor(self, shape: Sequence[int], item_bytes: int) -> None:
        """Raise ProblemError (413) for a tensor that alone has more bytes than all inputs may have.

        A dimension of 0 counts as 1: a tensor of shape [0, 2**40] is empty, but a sum over its first
        dimension is not, and NumPy cannot hold it either.
        """
        if math.prod(size or 1 for size in shape) * item_bytes > self.tensor_bytes:
            raise too_large(
                f"a tensor of shape {list(shape)} takes more than the {self.tensor_bytes} bytes "
                "allowed: send "
                "fewer rows at once"
            )
