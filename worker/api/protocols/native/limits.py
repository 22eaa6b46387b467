"""What a body may cost. Each limit is checked before the cost arises."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tfleet.worker.api.protocols.native.problems import too_large

_MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class InputLimits:
    """The most of everything in one body.

    `values` counts what becomes an object of Python: the numbers, strings and lists of a JSON document, the
    strings of any form, and what an answer writes one by one. Each takes about 40 bytes while it is parsed,
    and a tenth of a microsecond or more.
    `json_objects` counts braces: an object takes over 200 bytes.
    `tensor_bytes` holds for all inputs together, as the session gets them, and for what a compressed body
    becomes.
    """

    body_bytes: int = 32 * _MIB
    rows: int = 65_536
    tensor_bytes: int = 256 * _MIB
    values: int = 2_097_152
    json_objects: int = 262_144
    csv_cells: int = 1_048_576
    arrow_batches: int = 4_096

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

    def check_tensor(self, shape: Sequence[int], item_bytes: int) -> None:
        """Raise ProblemError (413) for a tensor that alone has more bytes than all inputs may have."""
        if math.prod(shape) * item_bytes > self.tensor_bytes:
            raise too_large(
                f"a tensor of shape {list(shape)} takes more than the {self.tensor_bytes} bytes "
                "allowed: send "
                "fewer rows at once"
            )
