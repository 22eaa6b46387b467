"""What `tfleet model check` finds out of a model by running it."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from tfleet.worker.image.limits import ImageLimits
from tfleet.worker.inference.batch_check import unwanted_batches
from tfleet.worker.inference.choose_precision import BUILT_IN_SAMPLES
from tfleet.worker.inference.class_scores import are_probabilities
from tfleet.worker.inference.errors import BadInputError
from tfleet.worker.model.errors import first_line

if TYPE_CHECKING:
    import numpy.typing as npt

    from tfleet.worker.inference.batch_check import BatchCheck
    from tfleet.worker.inference.class_scores import ClassScores
    from tfleet.worker.inference.classifier import Classifier
    from tfleet.worker.inference.loaded_model import LoadedModel

_TIMED_RUNS: Final = 10
_TOP: Final = 5
_MOST_NUMBERS: Final = 8
_PAGE_BYTES: Final = 4096
_STATM: Final = Path("/proc/self/statm")


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """A signature that was run. `ms` is the median time of a run with one row; None where nothing fitted.

    `alike`: the rows of its batch were equal, see `BatchCheck`.
    """

    name: str
    ms: float | None
    batched: bool
    obstacle: str
    stateful: bool
    alike: bool = False


@dataclass(frozen=True, slots=True)
class ExampleCheck:
    """What the model answers to an example: `top` labels with their scores, or numbers of its outputs."""

    name: str
    ms: float
    top: tuple[tuple[str, float], ...] = ()
    outputs: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class CheckReport:
    """A model that was loaded and run. Memory is what loading and running added, in MiB."""

    model: str
    kind: str
    form: str
    load_s: float
    warm_up_s: float
    memory_mib: float
    signatures: tuple[SignatureCheck, ...]
    examples: tuple[ExampleCheck, ...]


def resident_mib() -> float:
    """The memory of this process, in MiB."""
    return int(_STATM.read_text().split()[1]) * _PAGE_BYTES / (1 << 20)


def check_signatures(model: LoadedModel) -> tuple[SignatureCheck, ...]:
    """Time each signature with the inputs of its warm-up. Raises TensorFlow's errors."""
    if model.classifier is not None:
        return (_image_check(model.classifier),)
    return tuple(_signature_check(model, check) for check in model.checks)


def _signature_check(model: LoadedModel, check: BatchCheck) -> SignatureCheck:
    stateful = model.session.signatures[check.signature].stateful
    # A stateful signature would be run for nothing but its time, and count on.
    ms = None
    if check.inputs is not None and not stateful:
        inputs = check.inputs
        ms = median_ms(lambda: model.session.run(check.signature, inputs))
    return SignatureCheck(check.signature, ms, check.batched, check.obstacle, stateful, check.alike)


def _image_check(classifier: Classifier) -> SignatureCheck:
    stateful = classifier.facts.stateful.value
    sizes = classifier.batch_sizes
    obstacle = unwanted_batches(classifier.spec)
    if not obstacle and len(sizes) == 1:
        obstacle = "a batch is not faster for each image, or not possible"
    photo = classifier.prepare((BUILT_IN_SAMPLES / "cat.jpg").read_bytes(), ImageLimits())
    ms = None if stateful else median_ms(lambda: classifier.run([photo]))
    return SignatureCheck(classifier.session.default or "", ms, len(sizes) > 1, obstacle, stateful)


def check_image(classifier: Classifier, path: Path) -> ExampleCheck:
    """Classify an image. Raises subclasses of `ImageError`."""
    began_s = time.perf_counter()
    (row,) = classifier.run([classifier.prepare(path.read_bytes(), ImageLimits())])
    ms = (time.perf_counter() - began_s) * 1000
    sums = {"sum": f"{float(row.sum()):.4f}", "probabilities": str(are_probabilities(row[None])).lower()}
    return ExampleCheck(path.name, ms, classifier.top(row, _TOP), sums)


def check_tensors(model: LoadedModel, name: str, inputs: Mapping[str, Any]) -> ExampleCheck:
    """Run the default signature. Raises `BadInputError`."""
    default = model.session.default
    if default is None:
        raise BadInputError("the model has several signatures: name one with --signature")
    began_s = time.perf_counter()
    outputs = _made_of(model, model.session.run(default, inputs))
    ms = (time.perf_counter() - began_s) * 1000
    if model.scores is not None:
        (output,) = outputs.values()  # a row of numbers for each row of the inputs
        return _labelled(name, ms, model.scores, model.scores(output))
    return ExampleCheck(name, ms, outputs={key: array_text(array) for key, array in outputs.items()})


def _made_of(model: LoadedModel, outputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the model's own Python function, if it has one, makes of the outputs. Raises `BadInputError`."""
    function = model.predictor.postprocess
    if function is None:
        return outputs
    try:
        return function(dict(outputs))
    except Exception as error:  # of any kind: it is somebody else's code
        raise BadInputError(f"output.function fails: {type(error).__name__}: {first_line(error)}") from error


def _labelled(name: str, ms: float, scores: ClassScores, rows: npt.NDArray[np.float32]) -> ExampleCheck:
    """The best labels of the first row, and the sums of all."""
    if not len(rows):
        return ExampleCheck(name, ms, outputs={"rows": "0"})
    sums = [f"{float(row.sum()):.4f}" for row in rows[:_MOST_NUMBERS]]
    said = {"sum": ", ".join(sums) + (", ..." if len(rows) > _MOST_NUMBERS else "")}
    if len(rows) > 1:
        said = {"rows": f"{len(rows)}; the labels are those of the first"} | said
    said["probabilities"] = str(are_probabilities(rows)).lower()
    return ExampleCheck(name, ms, scores.top(rows[0], _TOP), said)


def median_ms(run: Callable[[], Any]) -> float:
    """The median of the milliseconds of some runs, after one to warm up."""
    run()
    times = []
    for _ in range(_TIMED_RUNS):
        began_s = time.perf_counter()
        run()
        times.append((time.perf_counter() - began_s) * 1000)
    return statistics.median(times)


def array_text(array: Any) -> str:
    """Type and shape of an array, and its first numbers."""
    values = np.ravel(array)[:_MOST_NUMBERS].tolist()
    shown = ", ".join(_value_text(value) for value in values)
    more = ", ..." if array.size > _MOST_NUMBERS else ""
    dtype = "string" if array.dtype.kind == "O" else array.dtype.name
    return f"{dtype}{list(array.shape)} {shown}{more}"


def _value_text(value: Any) -> str:
    if isinstance(value, bytes):
        return repr(value.decode(errors="replace")[:40])
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def as_lines(report: CheckReport) -> Sequence[str]:
    """The report for people."""
    lines = [
        f"{report.model}: {report.kind}",
        f"loaded in {report.load_s:.2f} s, warmed up in {report.warm_up_s:.2f} s, "
        f"{report.memory_mib:.0f} MiB",
    ]
    if report.form:
        lines.append(report.form)
    for signature in report.signatures:
        time_text = "it did not run" if signature.ms is None else f"{signature.ms:.2f} ms a row"
        if signature.stateful:
            time_text = "it keeps state, and was not timed"
        batch = "a batch gives what its rows give alone" if signature.batched else signature.obstacle
        if signature.batched and signature.alike:
            batch += " (checked with equal rows only: put examples.json with three different rows beside it)"
        lines.append(f"signature {signature.name}: {time_text}; {batch}")
    for example in report.examples:
        lines.append(f"{example.name}: {example.ms:.1f} ms")
        lines += [f"  {label}: {score:.6f}" for label, score in example.top]
        lines += [f"  {name}: {text}" for name, text in (example.outputs or {}).items()]
    return lines
