"""What `GET /models` and `GET /models/NAME` say about the model of this worker. Pure, no Flask."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfleet.worker.model.example import curl_line
from tfleet.worker.model.shown_facts import input_size, takes_grey

if TYPE_CHECKING:
    from tfleet.discovery.instance import Instance
    from tfleet.worker.inference.loaded_model import LoadedModel
    from tfleet.worker.model.facts import Fact
    from tfleet.worker.model.signature import Signature, TensorInfo


def is_stateful(model: LoadedModel) -> bool:
    """Whether any signature keeps state: then no request may be sent to the model twice."""
    return model.facts.stateful.value or any(each.stateful for each in model.session.signatures.values())


def summary(instance: Instance, state: str, model: LoadedModel | None) -> dict[str, Any]:
    """The model in a list: its name, version, state and, once it is loaded, kind."""
    return {
        "name": instance.model,
        "version": instance.version,
        "state": state,
        "kind": None if model is None else str(model.facts.kind.value),
    }


def description(instance: Instance, state: str, model: LoadedModel, host: str) -> dict[str, Any]:
    """All that a client has to know. `host` is how it reached the fleet, for the lines to paste."""
    facts = model.facts
    return {
        **summary(instance, state, model),
        "stateful": is_stateful(model),
        "default_signature": model.session.default,
        "labels": None if model.scores is None else list(model.scores.labels),
        "columns": list(facts.columns.value) or None,
        "preprocessing": None if model.classifier is None else _preprocessing(model),
        "embedding": _embedding(model),
        "sources": _sources(model),
        "signatures": {
            name: _signature(model, signature, host) for name, signature in model.session.signatures.items()
        },
        "example": example_line(model, host),
    }


def example_line(model: LoadedModel, host: str, signature: Signature | None = None) -> str:
    """A command line that calls a signature; by default the default one, or the first."""
    signatures, default = model.session.signatures, model.session.default
    if signature is None:
        signature = signatures[default] if default is not None else next(iter(signatures.values()))
    is_default = signature.name == default
    return curl_line(
        signature,
        image=is_default and model.classifier is not None,
        columns=model.facts.columns.value if is_default else (),
        default=is_default,
        address=host,
    )


def _signature(model: LoadedModel, signature: Signature, host: str) -> dict[str, Any]:
    return {
        "inputs": {info.name: _tensor(info) for info in signature.inputs},
        "outputs": {info.name: _tensor(info) for info in signature.outputs},
        "method": signature.method or None,
        "stateful": signature.stateful,
        "example": example_line(model, host, signature),
    }


def _tensor(info: TensorInfo) -> dict[str, Any]:
    """A shape of None is of unknown rank; a size of None may be any."""
    found: dict[str, Any] = {"dtype": info.dtype, "shape": None if info.shape is None else list(info.shape)}
    if info.optional:
        found["optional"] = True
    if (example := info.tf_example) is not None:
        features = {name: list(values) for name, values in example.features}
        found["tf_example"] = {"features": features, "b64": example.b64}
    return found


def _embedding(model: LoadedModel) -> dict[str, Any] | None:
    found = None if model.classifier is None else model.classifier.embedding
    return None if found is None else {"size": found.size, "space": found.space}


def _preprocessing(model: LoadedModel) -> dict[str, Any]:
    described, scaling = model.spec.input, model.facts.scaling
    signature = model.session.signatures.get(model.session.default or "")
    steps: dict[str, Any] = {"channels": "grey" if takes_grey(signature) else described.channels}
    if size := described.size or input_size(signature):
        steps["size"] = list(size)
    if described.crop is not None:
        steps["crop"] = described.crop
    steps |= {"resample": described.resample, "antialias": described.antialias}
    if scaling is not None:
        value = scaling.value
        steps |= {
            "mean": None if value is None else list(value.mean),
            "std": None if value is None else list(value.std),
        }
    return steps


def _sources(model: LoadedModel) -> dict[str, str]:
    """Where each fact comes from."""
    facts = model.facts
    known: dict[str, Fact[Any] | None] = {
        "kind": facts.kind,
        "stateful": facts.stateful,
        "default_signature": facts.signature,
        "columns": facts.columns if facts.columns.value else None,
        "preprocessing": facts.scaling,
        "activation": facts.activation,
    }
    return {name: str(fact.source) for name, fact in known.items() if fact is not None}
