"""Models that others made, kept beside the repository: golden answers from TensorFlow's and Keras' own runs.

Without that folder, as in a clone, these tests are skipped.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.asked import check_all_forms, loaded
from tests.models.golden_folder import SHARED, made_folder
from tests.models.shared_answers import read_shared
from tfleet.worker.model.errors import ModelError

GOLDEN = SHARED / "golden"
# Image models that do not say how they want their pixels.
SCALED_OUTSIDE = {"mnist_cnn", "logits", "sigmoid1", "gray28"}

pytestmark = [
    pytest.mark.process,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"{SHARED} is not there"),
]


@pytest.mark.parametrize("file", sorted(GOLDEN.glob("tfs_*.json")), ids=lambda file: file.stem)
def test_the_models_of_tensorflow_serving_answer(file: Path) -> None:
    with loaded(SHARED / file.stem.partition("@")[0]) as model:
        check_all_forms(model, read_shared(file))


def test_a_frozen_lstm_answers() -> None:
    with loaded(SHARED / "t2o_lstm.pb") as model:
        check_all_forms(model, read_shared(GOLDEN / "t2o_lstm.json"))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory)


def test_made_models_answer(made: Path) -> None:
    """All in one test: what they are called only their program knows. Each in all formats that it has."""
    goldens = sorted(made.glob("*.golden.json"))
    assert len(goldens) >= 12
    asked = []
    for file in goldens:
        name = file.name.partition(".")[0]
        golden = read_shared(file)
        scaling = {"input_mean": 0.0, "input_std": 1.0} if name in SCALED_OUTSIDE else {}
        for form in ("", ".keras.saved", ".h5.saved"):
            if (path := made / f"{name}{form}").exists():
                with loaded(path, **scaling) as model:
                    check_all_forms(model, golden)
                asked.append(path.name)
    assert len(asked) >= 24


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("lambda_unsafe.keras", "--trust"),
        ("lambda_unsafe.h5", "--trust"),
        ("custom_layer.keras", "twice"),
        ("weights_only.weights.h5", "weights"),
    ],
)
def test_made_models_that_cannot_be_served_are_refused(made: Path, name: str, said: str) -> None:
    with pytest.raises(ModelError, match=said) as caught, loaded(made / name):
        pass
    assert "\n" not in str(caught.value)
