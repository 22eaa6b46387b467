"""Models of all kinds answer as Keras does: from each format, in each form of a body, alone and batched."""

from pathlib import Path

import pytest

from tests.models.answers import read_golden
from tests.models.asked import check_all_forms, loaded

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

IN_BOTH = (
    *("vector", "columns", "clip_and_question", "characters", "bytes_scaled_inside"),
    *("logits", "one_sigmoid", "grey_28", "kind_and_box"),
)
# Pixels as they are: nothing in these models says how they are scaled.
PICTURES = {"logits", "one_sigmoid", "grey_28"}
FOLDERS = [
    *(f"{name}{form}" for name in IN_BOTH for form in ("", ".keras.saved", ".h5.saved")),
    *("words", "words.keras.saved"),
]


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_form_gives_keras_own_answer(golden_models: Path, folder: str) -> None:
    name = folder.partition(".")[0]
    golden = read_golden(golden_models / f"{name}@serving_default.npz")
    scaling = {"input_mean": 0.0, "input_std": 1.0} if name in PICTURES else {}
    with loaded(golden_models / folder, **scaling) as model:
        check_all_forms(model, golden)


def test_a_table_takes_rows_by_column(golden_models: Path) -> None:
    golden = read_golden(golden_models / "vector@serving_default.npz")
    columns = tuple(f"column {number}" for number in range(10))
    with loaded(golden_models / "vector") as model:
        check_all_forms(model, golden, columns)


@pytest.mark.parametrize("file", ["words.keras", "characters.h5"])
def test_a_keras_file_answers_as_it_is(
    golden_models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    golden = read_golden(golden_models / f"{file.partition('.')[0]}@serving_default.npz")
    with loaded(golden_models / file) as model:
        check_all_forms(model, golden)


@pytest.mark.parametrize("signature", ["serving_default", "scalar", "types"])
def test_every_signature_of_a_model_answers(golden_models: Path, signature: str) -> None:
    golden = read_golden(golden_models / f"several@{signature}.npz")
    with loaded(golden_models / "several") as model:
        assert set(model.session.signatures) == {"serving_default", "scalar", "types"}
        check_all_forms(model, golden)


def test_a_model_without_a_signature_answers(golden_models: Path) -> None:
    with loaded(golden_models / "no_signature") as model:
        check_all_forms(model, read_golden(golden_models / "no_signature@serving_default.npz"))
