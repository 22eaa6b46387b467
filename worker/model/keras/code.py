"""What of a Keras model's configuration is code, or reads other files, when Keras loads it. No Keras.

Keras' own `safe_mode` has let much through over the years. So this decides by itself, by what is allowed: an
object passes if it is a value, or a class or function that Keras has for models, named in the way that Keras
names its own. All else is a part that needs `--trust`.

What files have tried (the fix of each is in a version of Keras):
- byte code in a Lambda (CVE-2024-3660, 2.13), also in HDF5 files (CVE-2025-9905, 3.11.3)
- a module of any package, as in `subprocess` and `run` (CVE-2025-1550, 3.9)
- Keras' own functions that fetch, read or switch the checks off (CVE-2025-8747 and CVE-2025-9906, 3.11)
- a layer that unpickles (CVE-2025-49655, 3.11.3), or loads another model (CVE-2026-1462, 3.12.1)
- a vocabulary that is the name of a file or a URL (CVE-2025-12058, 3.12)
- weights that are in another file (CVE-2026-1669, 3.12.1): see `hdf5_links.py`
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tfleet.worker.model.keras.config import MAX_DEPTH, MODELS, BadConfigError, layer_name

_LAYER_KEYS: Final = frozenset({"layers", "layer", "backward_layer", "forward_layer", "cell", "cells"})
_LAMBDAS: Final = frozenset({"Lambda", "__lambda__"})
_FUNCTION: Final = "function"
# Values that Keras writes as objects.
_VALUES: Final = frozenset(
    {"__bytes__", "__ellipsis__", "__keras_tensor__", "__numpy__", "__slice__", "__tensor__"}
)
# Layers that run something that is no layer of Keras, and where their configuration has it.
_OUTSIDE: Final[Mapping[str, str]] = {
    "FlaxLayer": "module",
    "JaxLayer": "call_fn",
    "TFSMLayer": "filepath",
    "TorchModuleWrapper": "module",
}
_VOCABULARY: Final = "vocabulary"
# The parts of Keras that models are made of. Others read files, fetch URLs, or change settings.
_PARTS: Final = frozenset(
    (
        *("activations", "constraints", "dtype_policies", "initializers", "layers", "losses", "metrics"),
        *("mixed_precision", "models", "ops", "optimizers", "quantizers", "random", "regularizers"),
    )
)
# The functions of the others load models, or change settings. These compute.
_FUNCTION_PARTS: Final = frozenset(
    {"activations", "constraints", "initializers", "losses", "metrics", "ops", "regularizers"}
)
_MAKES_OBJECTS: Final = frozenset({"deserialize", "get", "serialize"})  # each part has these functions
_CLASS: Final = re.compile(r"[A-Z]\w*", re.ASCII)
_NAME: Final = re.compile(r"[A-Za-z_]\w*", re.ASCII)
_MAX_SHOWN: Final = 100  # characters of a name in a message


@dataclass(frozen=True, slots=True)
class CodePart:
    """A part of a model that needs trust.

    `in_file`: the file has its code (a Lambda). `reads`: what it reads that is not in the file. Otherwise it
    is a class or function from outside Keras; `module` is where Python would import it from, None if the file
    does not say. `inside`: the layer has it, as an activation for example, and is not it itself.
    """

    layer: str
    class_name: str
    module: str | None = None
    in_file: bool = False
    reads: str = ""
    inside: bool = False

    def __str__(self) -> str:
        """Such as `twice (my>Twice)`."""
        return f"{self.layer} ({self.class_name})"


def find_code(model: Mapping[str, Any], known: frozenset[str]) -> tuple[CodePart, ...]:
    """The parts that need trust, in their order in the file; of each layer and class the first.

    `known` are the names of the layers that Keras has; it is only looked at in the older form, and not if it
    is empty. Raises BadConfigError.
    """
    found: dict[tuple[str, str], CodePart] = {}
    for each in _objects(model, "", "layers", 0):
        part = _code_part(each, known)
        if part is not None:
            found.setdefault((part.layer, part.class_name), part)
    return tuple(found.values())


@dataclass(frozen=True, slots=True)
class _Object:
    """An object of the configuration: `layer` is the innermost one that it belongs to, or is itself."""

    node: Mapping[str, Any]
    layer: str
    is_layer: bool


def _objects(node: Any, layer: str, key: str, depth: int) -> Iterator[_Object]:
    """All objects below a node that stands at `key`."""
    if depth > MAX_DEPTH:
        raise BadConfigError("it nests too deeply")
    if isinstance(node, dict) and "class_name" in node:
        if not isinstance(node["class_name"], str):
            raise BadConfigError("a class name in it is not a text")
        is_layer = key in _LAYER_KEYS
        layer = layer_name({"config": None, **node}) if is_layer else layer
        yield _Object(node, layer, is_layer)
    if isinstance(node, dict):
        for inner_key, value in node.items():
            # The model's own losses and metrics are never loaded. Those of a model within it are.
            if depth > 0 or inner_key != "compile_config":
                yield from _objects(value, layer, inner_key, depth + 1)
    elif isinstance(node, list):
        for value in node:
            yield from _objects(value, layer, key, depth + 1)


def _code_part(found: _Object, known: frozenset[str]) -> CodePart | None:
    """The part that the object is; None if it is Keras' own, and harmless."""
    node, layer = found.node, found.layer[:_MAX_SHOWN]
    class_name, config = node["class_name"], node.get("config")
    if class_name in _LAMBDAS:
        return CodePart(layer, "Lambda", in_file=True)
    if class_name in _VALUES:
        return None
    settings = config if isinstance(config, dict) else {}
    reads = settings.get(_OUTSIDE[class_name]) if class_name in _OUTSIDE else settings.get(_VOCABULARY)
    if class_name in _OUTSIDE or (isinstance(reads, str) and reads):
        return CodePart(layer, class_name, reads=str(reads)[:_MAX_SHOWN])
    name = str(config) if class_name == _FUNCTION else class_name
    if not _is_keras_own(found, name):
        module, registered = node.get("module"), node.get("registered_name")
        shown = registered if isinstance(registered, str) and registered not in {"", _FUNCTION} else name
        return CodePart(
            layer,
            shown[:_MAX_SHOWN],
            module if isinstance(module, str) else None,
            inside=not found.is_layer,
        )
    old_form = "module" not in node and "registered_name" not in node
    if old_form and found.is_layer and known and class_name not in known | MODELS:
        return CodePart(layer, class_name[:_MAX_SHOWN])
    return None


def _is_keras_own(found: _Object, name: str) -> bool:
    """Whether Keras would take the object from its own parts, by this name and no other."""
    node = found.node
    if "module" not in node and "registered_name" not in node:
        # The older form: Keras looks the name up among its own, and imports nothing.
        return (_CLASS if found.is_layer else _NAME).fullmatch(name) is not None
    function = node["class_name"] == _FUNCTION
    if not (_NAME if function else _CLASS).fullmatch(name) or name in _MAKES_OBJECTS:
        return False  # such as `config.enable_unsafe_deserialization`, of the module keras
    # What somebody registered under a name comes before what Keras has.
    if node.get("registered_name") not in {None, "", name, node["class_name"]}:
        return False
    module = node.get("module")
    if not isinstance(module, str):
        return False
    if function:
        return module == "builtins" or _part_of(module) in _FUNCTION_PARTS
    return module == "keras" or _part_of(module) in _PARTS


def _part_of(module: str) -> str:
    """`layers` of `keras.layers`, `keras.layers.core.dense` and `keras.src.layers.core.dense`."""
    parts = module.split(".")
    if parts[0] != "keras":
        return ""
    return next((part for part in parts[1:] if part != "src"), "")
