"""What goes into a frozen graph and what comes out of it, read without TensorFlow.

A frozen graph has no signature, so its placeholders are the inputs, and the results that nothing else in the
graph uses are the outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tfleet.worker.model.signature import DEFAULT_SIGNATURE, Signature, TensorInfo, dtype_name

if TYPE_CHECKING:
    from collections.abc import Iterable

_PLACEHOLDER: Final = "Placeholder"
_WITH_DEFAULT: Final = "PlaceholderWithDefault"
_NO_RESULTS: Final = frozenset({"Const", "NoOp", "Assert", "Print", "PrintV2", _PLACEHOLDER, _WITH_DEFAULT})
_LOOP_END: Final = "Exit"  # the end of a loop of TensorFlow 1, also for its counter


def frozen_signature(graph: Any) -> Signature:
    """The signature of a GraphDef's placeholders and unused results. Shapes of results are not known."""
    used = {each.removeprefix("^").partition(":")[0] for node in graph.node for each in node.input}
    inputs = [_input(node) for node in graph.node if node.op in {_PLACEHOLDER, _WITH_DEFAULT}]
    results = [node for node in graph.node if node.op not in _NO_RESULTS and node.name not in used]
    results = [node for node in results if node.op != _LOOP_END] or results
    return Signature(DEFAULT_SIGNATURE, _sorted(inputs), _sorted(map(_output, results)))


def named_tensor(graph: Any, name: str) -> TensorInfo | None:
    """The input or result of this name, which may end with `:0`; None if the graph has none."""
    operation = name.partition(":")[0]
    node = next((node for node in graph.node if node.name == operation), None)
    if node is None:
        return None
    return _input(node) if node.op in {_PLACEHOLDER, _WITH_DEFAULT} else _output(node)


def _input(node: Any) -> TensorInfo:
    dtype = dtype_name(node.attr["dtype"].type) if "dtype" in node.attr else "unknown"
    return TensorInfo(node.name, f"{node.name}:0", dtype, _shape(node), node.op == _WITH_DEFAULT)


def _output(node: Any) -> TensorInfo:
    """What most operations compute with (T) is what they compute; some say it by another attribute."""
    given = (node.attr[name].type for name in ("out_type", "DstT", "dtype", "T") if name in node.attr)
    number = next(given, 0)
    return TensorInfo(node.name, f"{node.name}:0", dtype_name(number) if number else "unknown", None)


def _shape(node: Any) -> tuple[int | None, ...] | None:
    if "shape" not in node.attr or node.attr["shape"].shape.unknown_rank:
        return None
    return tuple(None if dim.size < 0 else int(dim.size) for dim in node.attr["shape"].shape.dim)


def _sorted(infos: Iterable[TensorInfo]) -> tuple[TensorInfo, ...]:
    return tuple(sorted(infos, key=lambda info: info.name))
