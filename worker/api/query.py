"""The parameters in the query of a prediction.

Unknown ones are rejected: if `?topn=1` were ignored, the client would not notice its mistake.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Final
from urllib.parse import parse_qsl

from tfleet.contract.names import DEFAULT_TOP, TICKET_QUERY, whole_number
from tfleet.contract.problem import Problem, ProblemError

TOP: Final = "top"
SIGNATURE: Final = "signature"
PARAMETERS: Final = frozenset({TOP, SIGNATURE, TICKET_QUERY})
"""The parameters that are no columns of a table. `ticket` may occur twice: a proxy that redirects puts its
own before the client's. TicketCheck reads the first.
"""

QueryArgs = Mapping[str, Sequence[str]]
"""The values of each parameter, in their order."""

_MAX_NAMED: Final = 3
_MAX_CHARS: Final = 20


def query_args(query: str) -> QueryArgs:
    """The parameters of a query. What is not UTF-8 in it becomes a sign that no parameter has."""
    found: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        found.setdefault(name, []).append(value)
    return found


def wanted_labels(query: QueryArgs, classes: int) -> int:
    """The number of labels to answer with: `?top=N`, 1 to `classes`; by default 5, or all if there are fewer.

    Raises ProblemError (400) for any other value.
    """
    asked = _once(query, TOP)
    if asked is None:
        return min(DEFAULT_TOP, classes)
    top = whole_number(asked)
    if not top or top > classes:
        detail = f"?{TOP}= is {asked[:_MAX_CHARS]!r}, not a number from 1 to {classes}, the model's classes"
        raise ProblemError(Problem(400, detail))
    return top


def wanted_signature(query: QueryArgs) -> str | None:
    """The name in `?signature=NAME`, or None. Raises ProblemError (400) if it occurs twice."""
    return _once(query, SIGNATURE)


def check_parameters(query: QueryArgs, known: Collection[str]) -> None:
    """Raise ProblemError (400) if the query has a parameter that is not `known`."""
    unknown = sorted(frozenset(query) - frozenset(known))
    if not unknown:
        return
    named = ", ".join(repr(name[:_MAX_CHARS]) for name in unknown[:_MAX_NAMED])
    more = f" and {len(unknown) - _MAX_NAMED} more" if len(unknown) > _MAX_NAMED else ""
    raise ProblemError(Problem(400, f"unknown query parameter {named}{more}: {_there_are(known)}"))


def query_pairs(query: str) -> list[tuple[str, str]]:
    """The names and values of a query, in their order. Raises ProblemError (400) if they are not UTF-8.

    Werkzeug's own parser leaves escapes as they are that are not, and a model would get them as text.
    """
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        raise ProblemError(Problem(400, "the query is not UTF-8: send the row as JSON")) from error


def _there_are(known: Collection[str]) -> str:
    names = sorted(frozenset(known) - {TICKET_QUERY})
    if not names:
        return "there are none here"
    if names == [TOP]:
        return f"the only one is {TOP}, as in ?{TOP}=5"
    return f"there {'is' if len(names) == 1 else 'are'} {' and '.join(names)}"


def _once(query: QueryArgs, name: str) -> str | None:
    asked = query.get(name, ())
    if len(asked) > 1:
        raise ProblemError(Problem(400, f"?{name}= occurs {len(asked)} times: send it once"))
    return asked[0] if asked else None
