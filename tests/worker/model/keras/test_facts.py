"""What is told of a Keras file before it is converted is what its SavedModel tells afterwards."""

from pathlib import Path
from typing import Any

import pytest

from tests.worker.model.keras.test_code import function, keras_layer, thing
from tests.worker.model.keras.test_file import write_keras
from tfleet.worker.model.commands.show import as_document, as_lines
from tfleet.worker.model.find import find_model
from tfleet.worker.model.keras.facts import UNTOLD
from tfleet.worker.model.report import ModelReport, look_at

pytestmark = pytest.mark.process


def _facts(report: ModelReport) -> dict[str, Any]:
    facts: dict[str, Any] = as_document(report)["facts"]
    return facts


@pytest.fixture(autouse=True)
def _empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.mark.timeout(600)
def test_the_facts_are_those_of_the_converted_model(keras_models: Path) -> None:
    assert told_as_after_conversion(keras_models) > 20


def told_as_after_conversion(folder: Path) -> int:
    """Compare each Keras file of the folder with the SavedModel NAME.saved beside it; how many there are."""
    files = sorted(path for path in folder.iterdir() if Path(f"{path}.saved").is_dir())
    for path in files:
        before, after = look_at(find_model(path)), look_at(find_model(Path(f"{path}.saved")))
        assert _facts(before) == _facts(after), path.name
        assert before.untold == frozenset(), path.name
        assert (before.refusal == "") == (after.refusal == ""), path.name
    return len(files)


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return keras_layer(class_name, name, **{"dtype": "float32", **config})


def image(*behind: dict[str, Any]) -> dict[str, Any]:
    shape = [None, 8, 8, 3]
    first = layer("InputLayer", "image", batch_shape=shape)
    return {**thing("keras", "Sequential"), "config": {"name": "s", "layers": [first, *behind]}}


POOL = layer("GlobalAveragePooling2D", "pool")
CONV = layer("Conv2D", "conv", filters=4)
SOFTMAX = layer("Dense", "out", units=3, activation="softmax")
LOGITS = layer("Dense", "out", units=3, activation="linear")
SCALED = layer("Rescaling", "scale", scale=1 / 255, offset=0.0)


def shown(tmp_path: Path, *layers: dict[str, Any]) -> ModelReport:
    return look_at(find_model(write_keras(tmp_path / "m.keras", image(*layers))))


@pytest.mark.parametrize(
    ("layers", "pixels", "activation"),
    [
        ((SCALED, CONV, POOL, SOFTMAX), "as they are, 0 to 255", "softmax"),
        ((layer("RandomFlip", "f"), SCALED, CONV, POOL, LOGITS), "as they are, 0 to 255", "none"),
        (
            (layer("Rescaling", "s", scale=2.0, offset=-1.0), CONV, POOL, SOFTMAX),
            "(pixel - 0) / 255",
            "softmax",
        ),
        ((SCALED, CONV, POOL, LOGITS, layer("Softmax", "p", axis=-1)), None, "softmax"),
        ((SCALED, CONV, POOL, LOGITS, layer("Activation", "p", activation="sigmoid")), None, "sigmoid"),
        ((SCALED, CONV, POOL, SOFTMAX, layer("Dropout", "d")), None, "softmax"),
        (
            (
                SCALED,
                POOL,
                layer("Dense", "out", units=3, activation=function("builtins", "relu"), dtype="float32"),
            ),
            None,
            "none",
        ),
        # What is not known here is not told.
        ((layer("Normalization", "n"), CONV, POOL, SOFTMAX), UNTOLD, "softmax"),
        ((SCALED, CONV, POOL, LOGITS, layer("UnitNormalization", "u")), None, UNTOLD),
        ((SCALED, CONV, POOL, LOGITS, layer("Softmax", "p", axis=0)), None, UNTOLD),
    ],
)
def test_the_ends_of_the_configuration_are_read(
    tmp_path: Path, layers: tuple[dict[str, Any], ...], pixels: str | None, activation: str
) -> None:
    report = shown(tmp_path, *layers)
    facts = {line.split()[0]: line for line in as_lines(report)}
    assert facts["kind"] == "kind        image  (from the model)"
    assert facts["pixels"].startswith(f"pixels      {pixels or 'as they are, 0 to 255'}")
    assert facts["activation"].startswith(f"activation  {activation}")
    assert ("(from" in facts["pixels"]) == (pixels != UNTOLD)


def test_a_layer_of_unknown_shape_leaves_the_kind_open(tmp_path: Path) -> None:
    report = shown(tmp_path, SCALED, layer("Permute", "p", dims=[1, 2, 3]), POOL, SOFTMAX)
    assert f"kind        {UNTOLD}" in list(as_lines(report))
    assert report.facts is None
    assert report.example is None


def test_what_is_stated_is_not_open(tmp_path: Path) -> None:
    path = write_keras(tmp_path / "m.keras", image(layer("Normalization", "n"), CONV, POOL, SOFTMAX))
    report = look_at(find_model(path, input_mean=0, input_std=1))
    assert _facts(report)["pixels"] == {"value": "(pixel - 0) / 1", "source": "an option"}
    assert report.refusal == ""


def test_unsaid_scaling_is_refused_as_after_the_conversion(tmp_path: Path) -> None:
    report = shown(tmp_path, CONV, POOL, SOFTMAX)
    assert "nothing says how the input image float32[?, 8, 8, 3] is scaled" in report.refusal
    assert _facts(report)["kind"] == {"value": "image", "source": "the model"}
