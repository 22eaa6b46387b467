"""Find out whether a signature keeps state: whether a run assigns to variables, or changes a table or queue.

It reads a GraphDef and needs no TensorFlow for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

# What writes into variables: assignments, scattered updates and the steps of optimizers.
_WRITES: Final = (
    "Assign",
    "Scatter",
    "ResourceScatter",
    "Apply",
    "ResourceApply",
    "SparseApply",
    "ResourceSparseApply",
    "CountUpTo",
    "ResourceCountUpTo",
    "LookupTableInsert",
    "LookupTableRemove",
    "QueueEnqueue",
    "QueueDequeue",
)
# These make a new tensor; all other scatter operations write into a variable.
_MAKE_A_TENSOR: Final = frozenset({"ScatterNd", "ScatterNdNonAliasingAdd"})


def assignment(definition: Any, feeds: Iterable[str], fetches: Iterable[str]) -> str:
    """The type of an operation that changes state in a run from `feeds` to `fetches`; empty if there is none.

    Only what the run needs counts: a SavedModel assigns to every variable when it is restored.
    """
    part = needed(definition.node, feeds, fetches)
    bodies = {function.signature.name: function.node_def for function in definition.library.function}
    for nodes in (part, *(bodies[name] for name in called_functions(part, bodies))):
        for node in nodes:
            if node.op.startswith(_WRITES) and node.op not in _MAKE_A_TENSOR:
                return str(node.op)
    return ""


def needed(nodes: Iterable[Any], feeds: Iterable[str], fetches: Iterable[str]) -> list[Any]:
    """The nodes of a graph that run for the tensors `fetches`, where the tensors `feeds` are given."""
    fed = {node_name(feed) for feed in feeds}
    by_name = {node.name: node for node in nodes if node.name not in fed}
    pending = [node_name(fetch) for fetch in fetches]
    found: dict[str, Any] = {}
    while pending:
        name = pending.pop()
        if name not in found and name in by_name:
            found[name] = by_name[name]
            pending.extend(node_name(each) for each in found[name].input)
    return list(found.values())


def node_name(tensor: str) -> str:
    """The operation that a tensor's name stands for: `a` for `a`, `a:1` and the control input `^a`."""
    return tensor.removeprefix("^").partition(":")[0]


def called_functions(nodes: Iterable[Any], bodies: Mapping[str, Iterable[Any]]) -> frozenset[str]:
    """The functions that the nodes call, directly or not.

    A SavedModel has others that restore and save it.
    """
    used: set[str] = set()
    pending = list(called_by(nodes, bodies))
    while pending:
        name = pending.pop()
        if name not in used:
            used.add(name)
            pending.extend(called_by(bodies[name], bodies))
    return frozenset(used)


def called_by(nodes: Iterable[Any], bodies: Mapping[str, Any]) -> frozenset[str]:
    """The functions that the nodes call themselves."""
    # A function is called by an operation with its name, or named in an attribute (PartitionedCall, If,
    # While).
    named = set()
    for node in nodes:
        named.add(node.op)
        for value in node.attr.values():
            named |= {value.func.name, *(each.name for each in value.list.func)}
    return frozenset(named & bodies.keys())
