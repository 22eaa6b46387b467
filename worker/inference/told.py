"""Say at the start of a worker what its model is, and where each fact comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tfleet.worker.model.facts import Source
from tfleet.worker.model.find import unread_files
from tfleet.worker.model.shown_facts import scaling_text

if TYPE_CHECKING:
    from tfleet.worker.inference.loaded_model import LoadedModel


def tell(model: LoadedModel, log: Any) -> None:
    """Log the facts of a loaded, warm model, and a warning for each thing that may surprise a client."""
    facts = model.facts
    default = model.session.default
    signature = None if default is None else model.session.signatures[default]
    said: dict[str, Any] = {"kind": str(facts.kind)}
    if signature is not None:
        said["signature"] = str(facts.signature)
        said["inputs"] = [str(info) for info in signature.inputs]
        said["outputs"] = [str(info) for info in signature.outputs]
    if len(model.session.signatures) > 1:
        said["signatures"] = list(model.session.signatures)
    if facts.columns.value:
        said["columns"] = list(facts.columns.value)
    if facts.scaling is not None:
        said["pixels"] = f"{scaling_text(facts.scaling.value)} (from {facts.scaling.source})"
    if model.classifier is not None:
        said["labels"] = f"{len(model.classifier.labels)} (from {model.classifier.labels_source})"
        said["activation"] = str(facts.activation)
    elif model.scores is not None:
        said["labels"] = len(model.scores.labels)
    if facts.stateful.value:
        said["stateful"] = str(facts.stateful)
    if facts.batch.source is not Source.DEFAULT:
        said["batch"] = str(facts.batch)
    log.info("model described", **said)
    _warn(model, log)


def _warn(model: LoadedModel, log: Any) -> None:
    if unread := unread_files(model.spec):
        log.warning(
            "files beside the model are not read, since other models are there too",
            files=[file.name for file in unread],
            hint="move the model and its files to a folder of their own",
        )
    if model.scores is not None and not model.scores.probabilities:
        log.warning(
            "the model's outputs are not probabilities: answers call them scores",
            hint="set activation in [output] of model.toml, or --activation, to softmax or sigmoid",
        )
    if model.session.default is None:
        log.warning(
            "the model has several signatures, and requests have to name one",
            signatures=list(model.session.signatures),
            hint="set signature in [model] of model.toml, or --signature",
        )
    for check in model.checks:
        for values in check.left_out:
            log.debug("batches were not compared with all numbers", signature=check.signature, without=values)
        if check.inputs is None:
            log.warning(
                "no generated input fits a signature, so it was not warmed up",
                signature=check.signature,
                error=check.obstacle,
                hint="put examples.json into the model's folder",
            )
        elif check.obstacle:
            log.info("rows run one by one", signature=check.signature, because=check.obstacle)
        elif check.alike:
            log.warning(
                "a batch was checked with equal rows only, which hide whether it mixes rows up",
                signature=check.signature,
                hint="put examples.json with three different rows into the model's folder",
            )
