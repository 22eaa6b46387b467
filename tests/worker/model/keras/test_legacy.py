"""How Keras 2's configurations are rewritten."""

import copy
from typing import Any

import pytest

from tfleet.worker.model.keras.config import BadConfigError
from tfleet.worker.model.keras.legacy import is_legacy, modernized, replaced_activations


def model(class_name: str, **config: Any) -> dict[str, Any]:
    layer = {"class_name": class_name, "config": {"name": "one", **config}}
    return {"class_name": "Functional", "config": {"layers": [layer]}}


def settings(changed: dict[str, Any]) -> dict[str, Any]:
    (layer,) = changed["config"]["layers"]
    kept: dict[str, Any] = layer["config"]
    return kept


@pytest.mark.parametrize(
    ("version", "legacy"), [("3.15.1", False), ("2.4.0", True), ("2.2.4-tf", True), ("", True)]
)
def test_keras_2_and_older_are_legacy(version: str, legacy: bool) -> None:
    assert is_legacy(version) is legacy


@pytest.mark.parametrize(
    ("class_name", "old", "new"),
    [
        ("LSTM", {"time_major": False}, {}),
        ("DepthwiseConv2D", {"groups": 1, "kernel_regularizer": None}, {}),
        ("SeparableConv2D", {"groups": 1, "kernel_initializer": {}, "kernel_constraint": None}, {}),
        ("Conv2DTranspose", {"groups": 1, "kernel_initializer": {}}, {"kernel_initializer": {}}),
        ("Conv2D", {"groups": 1}, {"groups": 1}),
        ("Conv2DTranspose", {"groups": 2}, {"groups": 2}),
        ("GRU", {}, {"reset_after": False}),
        ("GRU", {"reset_after": True}, {"reset_after": True}),
        ("BatchNormalization", {"axis": [3]}, {"axis": 3}),
        ("LayerNormalization", {"axis": [2, 3]}, {"axis": [2, 3]}),
        ("InputLayer", {"batch_input_shape": [None, 4]}, {"batch_shape": [None, 4]}),
        (
            "Dense",
            {"dtype": {"class_name": "Policy", "config": {"name": "mixed_float16"}}},
            {"dtype": "mixed_float16"},
        ),
        ("Dense", {"activation": "softmax_v2"}, {"activation": "softmax"}),
        ("RandomFlip", {"rng_type": "stateful"}, {}),
    ],
)
def test_settings_that_change_nothing_are_removed(class_name: str, old: Any, new: Any) -> None:
    assert settings(modernized(model(class_name, **old))) == {"name": "one", **new}


def test_wrapped_layers_are_rewritten_too() -> None:
    inner = {"class_name": "LSTM", "config": {"name": "in", "time_major": False}}
    changed = settings(modernized(model("Bidirectional", layer=inner, backward_layer=copy.deepcopy(inner))))
    assert changed["layer"]["config"] == changed["backward_layer"]["config"] == {"name": "in"}


def test_the_original_stays_as_it_is() -> None:
    before = model("LSTM", time_major=False)
    kept = copy.deepcopy(before)
    modernized(before)
    assert before == kept


def test_a_setting_that_changes_answers_is_refused() -> None:
    with pytest.raises(BadConfigError, match="'one' has time_major: true"):
        modernized(model("LSTM", time_major=True))


@pytest.mark.parametrize("class_name", ["TFOpLambda", "CuDNNLSTM"])
def test_what_keras_3_lacks_is_named(class_name: str) -> None:
    with pytest.raises(BadConfigError, match=rf"its layer 'one' is a {class_name}, .*saved_model"):
        modernized(model(class_name))


@pytest.mark.parametrize("package", ["keras.src", "keras", "tf_keras.src"])
def test_modules_of_keras_2_are_those_of_keras_3(package: str) -> None:
    before = model("Dense")
    before["module"] = f"{package}.engine.functional"
    before["config"]["layers"][0]["module"] = "tf_keras.layers"
    changed = modernized(before)
    assert changed["module"] == "keras.src.models.functional"
    assert changed["config"]["layers"][0]["module"] == "keras.layers"


@pytest.mark.parametrize(("shape", "number"), [({"batch_input_shape": [None, 3]}, 0), ({}, 1)])
def test_the_calls_of_a_nested_model_count_from_zero(shape: Any, number: int) -> None:
    first = {"class_name": "Dense", "config": {"name": "d", **shape}}
    inner = {"class_name": "Sequential", "config": {"name": "in", "layers": [first]}, "inbound_nodes": []}
    after = {"class_name": "Dense", "config": {"name": "y"}, "inbound_nodes": [[["in", 1, 0, {}]]]}
    config = {"layers": [inner, after], "output_layers": [["in", 1, 0], ["y", 1, 0]]}
    changed = modernized({"class_name": "Functional", "config": config})["config"]
    assert changed["layers"][1]["inbound_nodes"] == [[["in", number, 0, {}]]]
    assert changed["output_layers"] == [["in", number, 0], ["y", 1, 0]]


def test_the_kernels_of_theano_are_refused() -> None:
    with pytest.raises(BadConfigError, match="Theano"):
        modernized(model("Conv2D"), "theano")


def test_a_sequential_model_gets_the_input_layer_it_lacks() -> None:
    first = {
        "class_name": "Dense",
        "config": {"name": "d", "batch_input_shape": [None, 3], "dtype": "float32"},
    }
    layers = modernized({"class_name": "Sequential", "config": [first]})["config"]["layers"]
    assert layers[0]["config"] == {"batch_shape": [None, 3], "dtype": "float32", "name": "d_input"}
    assert "batch_input_shape" not in layers[1]["config"]


@pytest.mark.parametrize(
    ("config", "uses"),
    [
        ({"activation": "hard_sigmoid"}, True),
        ({"recurrent_activation": {"class_name": "function", "config": "hard_sigmoid"}}, True),
        ({"activation": "sigmoid"}, False),
    ],
)
def test_the_changed_activation_is_found(config: Any, uses: bool) -> None:
    assert replaced_activations(model("LSTM", **config)) is uses
    assert (
        replaced_activations(model("Bidirectional", layer={"class_name": "LSTM", "config": config})) is uses
    )
