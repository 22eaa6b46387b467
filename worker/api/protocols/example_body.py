"""Read the body of a request from a file, as an example of what a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfleet.contract.problem import ProblemError
from tfleet.worker.api.protocols.native import decode

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    from tfleet.worker.model.signature import Signature


def read_example(
    body: bytes, signature: Signature, columns: tuple[str, ...] = (), content_type: str = "application/json"
) -> Mapping[str, npt.NDArray[Any]]:
    """The inputs in a body of `POST /predict`. Raises ValueError with a line that says what is wrong."""
    try:
        return decode(body, content_type, signature, columns).inputs
    except ProblemError as error:
        raise ValueError(error.problem.detail) from error
