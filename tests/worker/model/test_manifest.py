"""model.toml is read strictly: a key that does nothing would be believed to do something."""

from pathlib import Path

import pytest

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.kind import ModelKind
from tfleet.worker.model.manifest import Manifest, read_labels, read_manifest
from tfleet.worker.model.spec import InputSpec, OutputSpec, RunSpec, ServingSpec, SignatureSpec


def _read(folder: Path, text: str) -> Manifest:
    (folder / "model.toml").write_text(text, encoding="utf-8")
    return read_manifest(folder / "model.toml")


def test_every_key_is_read(tmp_path: Path) -> None:
    text = """
        [input]
        tensor = "a:0"
        size = [224, 299]
        crop = 0.875
        resample = "bicubic"
        antialias = false
        channels = "bgr"
        mean = [1, 2.5, 3]
        std = 128
        [output]
        tensor = "b"
        activation = "sigmoid"
        threshold = 0.5
        function = "answer.py:make"
        [model]
        kind = "image"
        signature = "classify"
        stateful = true
        tags = ["serve", "gpu"]
        columns = ["age", "height"]
        batch = false
        [signatures.classify]
        inputs = {x = "a:0"}
        outputs = {y = "b:0"}
    """
    assert _read(tmp_path, text) == Manifest(
        InputSpec("a:0", (224, 299), 0.875, "bicubic", False, "bgr", (1.0, 2.5, 3.0), (128.0,)),
        OutputSpec("b", "sigmoid", 0.5, "answer.py:make"),
        ServingSpec(
            ModelKind.IMAGE,
            "classify",
            RunSpec(stateful=True, batch=False),
            ("serve", "gpu"),
            ("age", "height"),
            {"classify": SignatureSpec({"x": "a:0"}, {"y": "b:0"})},
        ),
    )


def test_logits_are_another_word_for_a_softmax(tmp_path: Path) -> None:
    assert _read(tmp_path, "[output]\nlogits = true").output.activation == "softmax"
    assert _read(tmp_path, "[output]\nlogits = false").output.activation is None


def test_one_size_is_for_both_sides(tmp_path: Path) -> None:
    assert _read(tmp_path, "[input]\nsize = 224").input.size == (224, 224)


def test_an_empty_file_leaves_everything_to_the_graph(tmp_path: Path) -> None:
    assert _read(tmp_path, "") == Manifest()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[input", "is not TOML"),
        ("[inputs]", "unknown key inputs; the keys here are model, signatures, input, output"),
        ("columns = ['a']", r"unknown key columns; the keys here are .*: write it under \[model\]"),
        ("tensor = 'x:0'", r"unknown key tensor; .*: write it under \[input\] or \[output\]"),
        (
            "[input]\nsise = 3",
            "unknown key input.sise; the keys here are tensor, size, crop, resample, antialias, channels",
        ),
        (
            "[output]\nname = 3",
            "unknown key output.name; the keys here are tensor, activation, logits, threshold, embedding, "
            "function",
        ),
        ("input = 3", r"input is not a table: write \[input\]"),
        ("[input]\ntensor = 3", "input.tensor is 3, but must be a text"),
        ("[input]\ntensor = ''", "input.tensor is '', but must be a text"),
        ("[input]\nsize = '224'", "input.size is '224', but must be a number of pixels"),
        ("[input]\nsize = 0", "input.size is 0"),
        ("[input]\nsize = true", "input.size is True"),
        ("[input]\nsize = 224.5", "input.size is 224.5"),
        ("[input]\nsize = [1, 2, 3]", "input.size is"),
        ("[input]\ncrop = 0", "input.crop is 0, but must be above 0 and up to 1"),
        ("[input]\ncrop = 1.5", "input.crop is 1.5"),
        ("[input]\nresample = 'sinc'", "input.resample is 'sinc', but must be one of bilinear, bicubic"),
        ("[input]\nmean = [1, 2]", "input.mean is .* a number, or three in the order of the channels"),
        ("[input]\nmean = nan", "input.mean is nan"),
        ("[input]\nstd = 0", "input.std is 0, but must be other than 0"),
        (
            "[output]\nactivation = 'relu'",
            "output.activation is 'relu', but must be one of softmax, sigmoid, none",
        ),
        ("[output]\nlogits = true\nactivation = 'none'", 'output.logits = true means activation = "softmax"'),
        ("[output]\nfunction = '../a.py:b'", "output.function is .*, but must be FILE.py:FUNCTION"),
        ("[output]\nthreshold = 2", "output.threshold is 2, but must be a probability, from 0 to 1"),
        ("[model]\nkind = 'video'", "model.kind is 'video', but must be one of image, table, text, sequence"),
        ("[model]\ntags = 'serve'", "model.tags is 'serve', but must be a list of texts"),
        ("[model]\ncolumns = ['a', 'a']", "model.columns is .* but must be a list of different names"),
        ("signatures = 1", r"signatures is not a table: write \[signatures.serving_default\]"),
        ("signatures.s = 1", r"signatures.s is not a table: write \[signatures.s\]"),
        (
            "[signatures.s]\ninputs = {}",
            "signatures.s.inputs is {}, but must be a table of names and tensors",
        ),
        ("[signatures.s]\ninputs = {x = 'a'}", "signatures.s has no outputs: write outputs = {NAME"),
        ("[output]\nlogits = 1", "output.logits is 1, but must be true or false"),
    ],
)
def test_a_wrong_key_or_value_is_named(tmp_path: Path, text: str, problem: str) -> None:
    with pytest.raises(ModelError, match=rf"model\.toml: {problem}"):
        _read(tmp_path, text)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"model\.toml: no such file"):
        read_manifest(tmp_path / "model.toml")


def test_a_folder_in_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        read_manifest(tmp_path)


def test_bytes_that_are_not_text_are_not_toml(tmp_path: Path) -> None:
    (tmp_path / "model.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ModelError, match=r"model\.toml: is not TOML"):
        read_manifest(tmp_path / "model.toml")


@pytest.mark.parametrize("text", ["cat\ndog", "cat\ndog\n", "cat\r\ndog\r\n", "\ufeffcat\n dog \n\n\n"])
def test_labels_are_read_in_their_order(tmp_path: Path, text: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(text.encode())
    assert read_labels(path) == ("cat", "dog")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\n \n", "is empty"),
        (b"cat\n\ndog\n", "line 2 is empty"),
        ("chät\n".encode("latin-1"), r"not UTF-8 \(byte 2\)"),
    ],
)
def test_a_faulty_file_is_reported_with_its_fault(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "labels.txt"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"labels\.txt: .*{problem}"):
        read_labels(path)


def test_a_missing_label_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"labels\.txt: no such file"):
        read_labels(tmp_path / "labels.txt")


def test_a_folder_is_not_a_file_of_labels(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="cannot be read: Is a directory"):
        read_labels(tmp_path)
