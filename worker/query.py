"""What the query of an image may say.

What is not known is refused and not passed over: `?topn=1` answered with five labels is a mistake that nobody
finds.
"""

from __future__ import annotations

from typing import Final

from werkzeug.datastructures import MultiDict

from tfleet.contract.names import DEFAULT_TOP, TICKET_QUERY, whole_number
from tfleet.contract.problem import Problem
from tfleet.worker.problems import ProblemError

_TOP: Final = "top"
# A ticket may be there twice: a proxy that redirects puts its own before the client's, and the gate reads it.
_KNOWN: Final = frozenset({_TOP, TICKET_QUERY})
_MOST_NAMED: Final = 3
_MOST_CHARS: Final = 20


def wanted_labels(query: MultiDict[str, str], classes: int) -> int:
    """`?top=N`, from 1 to `classes`; 5, or all where there are fewer, if it is not said.

    Raises ProblemError with 400 for anything else that the query says.
    """
    _check_names(query)
    asked = query.getlist(_TOP)
    if not asked:
        return min(DEFAULT_TOP, classes)
    if len(asked) > 1:
        raise ProblemError(Problem(400, f"?{_TOP}= is there {len(asked)} times: say it once"))
    top = whole_number(asked[0])
    if not top or top > classes:
        detail = (
            f"?{_TOP}= is {asked[0][:_MOST_CHARS]!r}, not a number from 1 to {classes}, the model's classes"
        )
        raise ProblemError(Problem(400, detail))
    return top


def _check_names(query: MultiDict[str, str]) -> None:
    unknown = sorted(query.keys() - _KNOWN)
    if not unknown:
        return
    named = ", ".join(repr(name[:_MOST_CHARS]) for name in unknown[:_MOST_NAMED])
    more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
    raise ProblemError(
        Problem(
            400, f"the query has {named}{more}, which means nothing here: only {_TOP} does, as in ?{_TOP}=5"
        )
    )
