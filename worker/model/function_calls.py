"""Refuse a graph whose functions call themselves, or each other too deeply. No TensorFlow.

Whatever follows the calls of such a graph would not end, TensorFlow's own conversions included.
"""

from __future__ import annotations

from typing import Any, Final

from tfleet.worker.model.state import called_by

MAX_DEPTH: Final = 500
"""How deeply functions may call each other. Keras and TensorFlow write about ten. At some thousands
TensorFlow runs out of stack.
"""

_GRAPH: Final = ""  # no function has this name
_MAX_SHOWN: Final = 5  # functions of a circle


class BadGraphError(ValueError):
    """The graph can't be used. The message says why, in a few words."""


def check_calls(definition: Any) -> None:
    """Raise BadGraphError for a GraphDef with calls that would never end, or that nest too deeply."""
    bodies = {function.signature.name: function.node_def for function in definition.library.function}
    calls = {name: sorted(called_by(nodes, bodies)) for name, nodes in bodies.items()}
    calls[_GRAPH] = sorted(called_by(definition.node, bodies))
    depths: dict[str, int] = {}  # of what is done: how deep the calls below it go
    # In the order of the calls; each with the calls that are to be followed yet.
    path = {_GRAPH: iter(calls[_GRAPH])}
    while path:
        name = next(reversed(path))
        called = next((each for each in path[name] if each not in depths), None)
        if called in path:
            names = list(path)
            raise BadGraphError(_circle([*names[names.index(called) :], called]))
        if called is not None:
            path[called] = iter(calls[called])
        else:
            del path[name]
            depths[name] = max((1 + depths[each] for each in calls[name]), default=0)
        if len(path) - 1 > MAX_DEPTH or depths.get(name, 0) > MAX_DEPTH:
            raise BadGraphError(f"its functions call each other more than {MAX_DEPTH} deep")


def _circle(names: list[str]) -> str:
    shown = names if len(names) <= _MAX_SHOWN else [*names[: _MAX_SHOWN - 1], "...", names[-1]]
    return f"its function {names[0]!r} calls itself ({' -> '.join(shown)})"
