"""One row in a query: `GET /predict?G1=1&G2=0`."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tfleet.worker.api.protocols.decoded import DecodedInputs
from tfleet.worker.api.protocols.limits import InputLimits
from tfleet.worker.api.protocols.native.layout import RowLayout
from tfleet.worker.api.protocols.native.text_cells import parse_texts
from tfleet.worker.api.protocols.problems import CellError, bad_input, check_names, names_text, place

_QUERY = "the query"


def decode_row(
    pairs: Sequence[tuple[str, str]], layout: RowLayout, limits: InputLimits, reserved: Collection[str]
) -> DecodedInputs:
    """The row in the names and values of a query, decoded and without the reserved parameters.

    Raises ProblemError (400), also for a model with a column that has the name of a reserved parameter.
    """
    scalars = not layout.has_rows and all(info.shape == () for info in layout.signature.inputs)
    names = layout.input_names if scalars else layout.table_names(_QUERY)
    check_reserved(names, reserved, reserved)
    limits.check_body(sum(len(name) + len(value) for name, value in pairs))
    check_names([name for name, _ in pairs], names, _QUERY, layout.optional)
    infos = {info.name: info for info in layout.signature.inputs}
    columns = {}
    for name, value in pairs:
        info = infos[name] if scalars else layout.column_info(name)
        try:
            columns[name] = parse_texts([value], info)
        except CellError as error:
            raise bad_input(f"{place(name, word='column')}: {error}") from error
    if scalars:
        return DecodedInputs({name: column.reshape(()) for name, column in columns.items()}, 1, whole=True)
    return DecodedInputs(layout.assemble(columns), 1, one_row=True)


def check_reserved(names: Collection[str], sent: Collection[str], reserved: Collection[str]) -> None:
    """Raise ProblemError (400) if one of these columns has the name of a reserved parameter that was sent."""
    taken = [name for name in names if name in reserved and name in sent]
    if taken:
        *others, last = sorted(reserved)
        raise bad_input(
            f"{names_text(taken)} means something else in a query: columns called {', '.join(others)} or "
            f"{last} are taken in bodies only, so send the row as JSON, with POST"
        )
