"""A Python function of the model's own that makes its answers: `function` in `[output]` of model.toml.

It is code that comes with the model, so it runs only with `--trust`. No TensorFlow.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import numpy.typing as npt

from tfleet.worker.model.errors import ModelError, first_line
from tfleet.worker.model.kind import ModelKind

if TYPE_CHECKING:
    from tfleet.worker.model.facts import ModelFacts
    from tfleet.worker.model.spec import ModelSpec

Postprocess: TypeAlias = Callable[[dict[str, npt.NDArray[Any]]], Mapping[str, npt.NDArray[Any]]]
"""From the outputs of the default signature, by name, to those of the answer."""


def check_trust(spec: ModelSpec) -> None:
    """Raise `ModelError` if the model has a function of its own that nobody trusts."""
    if spec.output.function is not None and not spec.serving.trust:
        where = spec.setting("output.function", "--trust")
        raise ModelError(
            f"{spec.origin}: {where} runs Python code that comes with the model: give --trust if you trust "
            "its author, or remove it"
        )


def load_postprocess(spec: ModelSpec, facts: ModelFacts) -> Postprocess | None:
    """The function of a model that has one, from the file beside its model.toml. Raises `ModelError`."""
    if spec.output.function is None:
        return None
    check_trust(spec)
    if facts.kind.value is ModelKind.IMAGE:
        raise ModelError(f"{spec.origin}: output.function is for models that take no images: remove it")
    name, _, function = spec.output.function.partition(":")
    path = spec.folder / name
    try:
        module_spec = importlib.util.spec_from_file_location(f"tfleet_model_{path.stem}", path)
        assert module_spec is not None, "the name ends with .py, as the manifest has checked"
        assert module_spec.loader is not None, "the same"
        module = importlib.util.module_from_spec(module_spec)
        module_spec.loader.exec_module(module)
        found: Postprocess = getattr(module, function)
    except Exception as error:  # of any kind: it is somebody else's code
        raise ModelError(
            f"{path}: {function} cannot be loaded: {type(error).__name__}: {first_line(error)}"
        ) from error
    return checked(found)


def checked(function: Postprocess) -> Postprocess:
    """The same function, that raises TypeError where it returns no arrays by name."""

    def call(outputs: dict[str, npt.NDArray[Any]]) -> Mapping[str, npt.NDArray[Any]]:
        made = function(outputs)
        if not isinstance(made, Mapping) or not all(isinstance(name, str) for name in made):
            raise TypeError(f"output.function returned {type(made).__name__}, and no dict of arrays by name")
        return {name: np.asarray(value) for name, value in made.items()}

    return call
