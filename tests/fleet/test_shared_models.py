"""The models beside the repository, behind proxies in both modes: golden answers by every way to a worker.

Without that folder, as in a clone, these tests are skipped.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import requests

from tests.models.answers import read_answer
from tests.models.bodies import NPZ, bodies
from tests.models.callers import Question, ask, check_by_client, check_by_http, check_predict
from tests.models.golden_folder import SHARED, made_folder
from tests.models.shared_answers import drawn_inputs, read_drawn, read_shared
from tests.support.model_packages import audio_model, required_packages
from tests.support.served_model import model_folder, served_model

GOLDEN = SHARED / "golden"
pytestmark = [
    pytest.mark.timeout(600),
    pytest.mark.skipif(not GOLDEN.is_dir(), reason=f"{SHARED} is not there"),
]

FILES = [
    *("tabular10", "tabular10.keras", "tabular10.h5", "tabular_g1_g10", "tabular_g1_g10.keras"),
    *("videoqa", "videoqa.keras", "charlstm", "charlstm.keras", "charlstm.h5"),
    *("textvec", "textvec.keras", "two_out.keras", "signatures"),
]
PICTURES = ["mnist_cnn/1", "rescale_u8.keras", "logits/1", "sigmoid1.keras", "gray28/1"]


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_folder(tmp_path_factory)


@pytest.mark.parametrize("name", ["tfs_half_plus_two_cpu", "tfs_half_plus_two_2_versions", "t2o_lstm"])
async def test_models_of_others_answer_on_every_way(name: str, tmp_path: Path) -> None:
    goldens = sorted([*GOLDEN.glob(f"{name}.json"), *GOLDEN.glob(f"{name}@*.json")])
    assert goldens
    file = SHARED / ("t2o_lstm.pb" if name == "t2o_lstm" else name)
    async with served_model(file, cache=tmp_path) as served:
        for golden in goldens:
            # One input is of unknown rank; one model has a scalar beside its rows.
            rows = "_x_to_" not in golden.name and name != "t2o_lstm"
            question = Question(name, read_shared(golden), rows=rows)
            await served.by_http(check_by_http, question)
            await served.by_client(check_by_client, question)


@pytest.mark.parametrize("file", FILES)
async def test_made_models_answer_on_every_way(made: Path, file: str) -> None:
    name = file.partition(".")[0]
    question = Question(name, read_shared(made / f"{name}.golden.json"))
    async with served_model(made / file, cache=made / "cache") as served:
        await served.by_http(check_by_http, question)
        await served.by_client(check_by_client, question)


@pytest.mark.parametrize("file", PICTURES)
async def test_made_image_models_take_pixels(made: Path, tmp_path: Path, file: str) -> None:
    folder = model_folder(made / file, tmp_path, 'kind = "tensors"')
    name = file.replace("/", ".").partition(".")[0]
    question = Question(folder.parent.name, read_shared(made / f"{name}.golden.json"))
    async with served_model(folder, cache=made / "cache") as served:
        await served.by_http(check_by_http, question)
        await served.by_client(check_by_client, question)


async def test_an_audio_model_answers_on_every_way(tmp_path: Path) -> None:
    """Inputs and outputs have a quarter of a million numbers: all forms at the worker, one through proxies.

    The golden answer is that of TensorFlow without oneDNN, which changes this model's answers by 3e-4.
    """
    file = GOLDEN / "basic_pitch.json"
    inputs = drawn_inputs(file)
    sent = next(bodies(inputs))
    options = {"TF_ENABLE_ONEDNN_OPTS": "0"}
    async with served_model(audio_model(required_packages()), cache=tmp_path, environment=options) as served:
        headers = {"Content-Type": sent.media_type, "Accept": NPZ}
        answer = await asyncio.to_thread(
            requests.post, f"{served.worker}/predict", sent.body, headers=headers, timeout=60
        )
        assert answer.status_code == 200, answer.text
        question = Question("nmp", read_drawn(file, read_answer(answer.content, NPZ, {})))
        for request, expected in question.requests():
            await asyncio.to_thread(ask, served.worker, question, request, expected)
        for url in (served.forward, served.p2p):
            await asyncio.to_thread(ask, url, question, sent, question.golden.outputs, NPZ)
        outputs = question.golden.outputs
        await served.by_client(check_predict, dict(inputs), outputs, question.golden.signature)
