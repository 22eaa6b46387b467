"""Image models answer a picture as Keras answers its pixels: the worker prepares them as it should."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from tests.models.asked import loaded
from tests.models.pictures import DIVIDED, PICTURE_MODELS, check_scores
from tests.support.worker_http import serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


def test_a_grey_models_page_says_that_it_is_grey(golden_models: Path) -> None:
    with (
        loaded(golden_models / "grey_28", **DIVIDED) as model,
        serving(model, name="grey_28") as (address, _),
    ):
        page = requests.get(f"{address.url}/models/grey_28", timeout=60).json()
    assert page["preprocessing"] == {
        "channels": "grey",
        "size": [28, 28],
        "resample": "bilinear",
        "antialias": True,
        "mean": [0.0],
        "std": [255.0],
    }


@pytest.mark.parametrize("form", ["", ".keras.saved", ".h5.saved"])
@pytest.mark.parametrize("case", PICTURE_MODELS)
def test_a_picture_gets_keras_own_scores(golden_models: Path, tmp_path: Path, form: str, case: str) -> None:
    picture_model = PICTURE_MODELS[case]
    name = picture_model.name
    options = picture_model.with_labels(tmp_path)
    with loaded(golden_models / f"{name}{form}", **options) as model:
        with serving(model, name=name) as (address, _):
            for png, scores in picture_model.expected(golden_models):
                url = f"{address.url}/predict?top={len(scores)}"
                answer = requests.post(url, files={"image": png}, timeout=60)
                assert answer.status_code == 200, answer.text
                check_scores(answer.json()["predictions"], scores, picture_model.score)
