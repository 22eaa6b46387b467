"""Follow tensors through a GraphDef, forwards and backwards, into the functions that it calls. No TensorFlow.

A SavedModel of TensorFlow 2 has its operations inside functions inside functions. The names differ: a graph
has `node:1`, a function's body has `node:output:0`, and the bare name of an argument. A `TensorPlace` is a
tensor's name together with the body in which it means something.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Final

from tfleet.worker.model.function_calls import BadGraphError
from tfleet.worker.model.state import node_name

_MOST_CALLS: Final = 20_000  # that one walk follows: functions that call each other twice make very many
_CALLS: Final = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
# Their branches have no argument for the first input, which chooses the branch.
_BRANCHES: Final = frozenset({"If", "StatelessIf", "Case", "StatelessCase"})


class GraphNodes:
    """The nodes of a graph or function, to be found by name. A function's are shared by all its calls."""

    def __init__(self, nodes: Sequence[Any]) -> None:
        self._nodes = nodes

    @cached_property
    def by_name(self) -> Mapping[str, Any]:
        return {node.name: node for node in self._nodes}

    @cached_property
    def consumers(self) -> Mapping[str, Sequence[tuple[Any, int]]]:
        """By the name of a node or argument: the nodes that take from it, and as which input."""
        found: dict[str, list[tuple[Any, int]]] = {}
        for node in self._nodes:
            for position, name in enumerate(node.input):
                if not name.startswith("^"):
                    found.setdefault(node_name(name), []).append((node, position))
        return found


@dataclass(frozen=True, slots=True)
class GraphFunction:
    """A function of the library: `results` has the tensor that each output argument returns."""

    nodes: GraphNodes
    arguments: tuple[str, ...]
    results: Mapping[str, str]


@dataclass(eq=False)
class GraphBody:
    """The nodes of a graph, or of a function that `call` in the body `caller` has called."""

    nodes: GraphNodes
    arguments: tuple[str, ...] = ()
    results: Mapping[str, str] = field(default_factory=dict)
    caller: GraphBody | None = None
    call: Any = None
    first_input: int = 0


@dataclass(frozen=True, slots=True)
class TensorPlace:
    """A tensor: its name, and the body in which it has this name."""

    body: GraphBody
    tensor: str

    @property
    def node(self) -> Any:
        """The node that makes the tensor; None for a function's argument."""
        return self.body.nodes.by_name.get(node_name(self.tensor))

    @property
    def output(self) -> int:
        """Which of the node's outputs it is. A named output counts as the first of its name."""
        last = self.tensor.rpartition(":")[2]
        return int(last) if last.isdecimal() else 0


class GraphWalk:
    """A GraphDef, or anything with its fields, to be followed.

    Its functions must not call themselves: see `function_calls.py`. Methods raise BadGraphError where they
    call each other too often.
    """

    def __init__(self, definition: Any) -> None:
        self._functions = {
            each.signature.name: GraphFunction(
                GraphNodes(each.node_def),
                tuple(argument.name for argument in each.signature.input_arg),
                {result.name: each.ret.get(result.name, "") for result in each.signature.output_arg},
            )
            for each in definition.library.function
        }
        self._graph = GraphBody(GraphNodes(definition.node))
        self._calls = 0

    def start(self, tensor: str) -> TensorPlace:
        """A tensor of the graph itself, by name."""
        return TensorPlace(self._graph, tensor)

    def made_by(self, place: TensorPlace) -> TensorPlace | None:
        """The same tensor at the operation that really makes it: inside the function that returns it, or
        outside the function whose argument it is. None where it comes from nowhere.
        """
        while True:
            node = place.node
            if node is None:
                outside = self._outside(place)
                if outside is None:
                    return None
                place = outside
                continue
            body = self._called(place.body, node) if node.op in _CALLS or node.op in self._functions else None
            if body is None:
                return place
            returned = list(body.results)
            if place.output >= len(returned):
                return place
            place = TensorPlace(body, body.results[returned[place.output]])

    def inputs(self, place: TensorPlace) -> Sequence[TensorPlace]:
        """The inputs of the node that makes the tensor."""
        return [TensorPlace(place.body, name) for name in place.node.input if not name.startswith("^")]

    def uses(self, place: TensorPlace) -> Iterator[tuple[TensorPlace, int]]:
        """The nodes that take the tensor, each with the position of the input; inside the functions that take
        it as an argument, and not the calls themselves.
        """
        pending = [place]
        while pending:
            place = pending.pop()
            for node, position in place.body.nodes.consumers.get(node_name(place.tensor), ()):
                bodies = [self._body(place.body, node, name) for name in self._function_names(node)]
                if not bodies:
                    yield TensorPlace(place.body, node.name), position
                for body in bodies:
                    argument = position - body.first_input
                    if 0 <= argument < len(body.arguments):
                        pending.append(TensorPlace(body, body.arguments[argument]))

    def _outside(self, place: TensorPlace) -> TensorPlace | None:
        body = place.body
        if body.caller is None or place.tensor not in body.arguments:
            return None
        inputs = [name for name in body.call.input if not name.startswith("^")]
        position = body.arguments.index(place.tensor) + body.first_input
        return TensorPlace(body.caller, inputs[position]) if position < len(inputs) else None

    def _called(self, caller: GraphBody, node: Any) -> GraphBody | None:
        names = self._function_names(node)
        return self._body(caller, node, names[0]) if len(names) == 1 else None

    def _body(self, caller: GraphBody, node: Any, name: str) -> GraphBody:
        self._calls += 1
        if self._calls > _MOST_CALLS:
            raise BadGraphError(f"its functions call each other more than {_MOST_CALLS} times")
        function = self._functions[name]
        first_input = int(node.op in _BRANCHES)
        return GraphBody(function.nodes, function.arguments, function.results, caller, node, first_input)

    def _function_names(self, node: Any) -> list[str]:
        if node.op in self._functions:
            return [node.op]
        named = []
        for value in node.attr.values():
            named += [value.func.name, *(each.name for each in value.list.func)]
        return [name for name in dict.fromkeys(named) if name in self._functions]
