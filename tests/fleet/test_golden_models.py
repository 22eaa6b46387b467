"""Models of all kinds behind proxies in both modes answer as Keras does: from each format, in every form, by
every way to a worker.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models.answers import read_golden
from tests.models.callers import Question, check_by_client, check_by_http
from tests.support.served_model import model_folder, served_model

pytestmark = pytest.mark.timeout(600)

FILES = [
    *(f"{name}{form}" for name in ("vector", "columns", "characters") for form in ("", ".keras", ".h5")),
    *(f"clip_and_question{form}" for form in ("", ".keras", ".h5")),
    *("words", "words.keras", "kind_and_box.h5", "no_signature"),
]
SIGNATURES = ("serving_default", "scalar", "types")
COLUMNS = tuple(f"column {number}" for number in range(10))


@pytest.mark.parametrize("file", FILES)
async def test_answers_are_keras_own_on_every_way(golden_models: Path, file: str) -> None:
    name = file.partition(".")[0]
    question = Question(name, read_golden(golden_models / f"{name}@serving_default.npz"))
    async with served_model(golden_models / file, cache=golden_models / "cache") as served:
        await served.by_http(check_by_http, question)
        await served.by_client(check_by_client, question)


async def test_every_signature_answers_on_every_way(golden_models: Path) -> None:
    async with served_model(golden_models / "several", cache=golden_models / "cache") as served:
        for signature in SIGNATURES:
            golden = read_golden(golden_models / f"several@{signature}.npz")
            question = Question("several", golden, rows=signature != "scalar")
            await served.by_http(check_by_http, question)
            await served.by_client(check_by_client, question)


async def test_named_columns_are_taken_on_every_way(golden_models: Path, tmp_path: Path) -> None:
    """A table with one input, whose model.toml names its columns."""
    folder = model_folder(golden_models / "vector.keras", tmp_path, f"columns = {list(COLUMNS)}")
    golden = read_golden(golden_models / "vector@serving_default.npz")
    async with served_model(folder, cache=golden_models / "cache") as served:
        await served.by_http(check_by_http, Question("folder", golden, columns=COLUMNS))
        await served.by_client(check_by_client, Question("folder", golden, columns=COLUMNS))


@pytest.mark.parametrize("file", ["grey_28/1", "grey_28.keras", "grey_28.h5"])
async def test_pixels_are_taken_on_every_way(golden_models: Path, tmp_path: Path, file: str) -> None:
    """An image model takes pixels as tensors where its model.toml says so."""
    folder = model_folder(golden_models / file, tmp_path, 'kind = "tensors"')
    golden = read_golden(golden_models / "grey_28@serving_default.npz")
    async with served_model(folder, cache=golden_models / "cache") as served:
        await served.by_http(check_by_http, Question("folder", golden))
        await served.by_client(check_by_client, Question("folder", golden))
