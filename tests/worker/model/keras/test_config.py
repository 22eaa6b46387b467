"""What a configuration says of inputs, outputs and code."""

from typing import Any

import pytest

from tfleet.worker.model.keras.code import CodePart, find_code
from tfleet.worker.model.keras.config import BadConfigError, read_interface, unique_names

KNOWN = frozenset({"InputLayer", "Dense", "LSTM", "Bidirectional", "TextVectorization"})


def layer(class_name: str, name: str, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": {"name": name, **config}, "inbound_nodes": []}


def functional(*layers: dict[str, Any], inputs: Any, outputs: Any) -> dict[str, Any]:
    config = {"name": "m", "layers": list(layers), "input_layers": inputs, "output_layers": outputs}
    return {"class_name": "Functional", "config": config}


X = layer("InputLayer", "x", batch_shape=[None, 4], dtype="int32")
Y = layer("Dense", "y", dtype="float32")


@pytest.mark.parametrize(
    ("inputs", "outputs", "expected"),
    [
        (["x", 0, 0], ["y", 0, 0], (["x"], ["y"])),
        ([["x", 0, 0]], [["y", 0, 0], ["y", 0, 1]], (["x"], ["y", "y_1"])),
        ({"k": ["x", 0, 0]}, {"b": ["y", 0, 0], "a": [["y", 0, 0]]}, (["k"], ["a", "b"])),
        ([["x", 0, 0]], {"n": {"b": ["y", 0, 0], "a": ["y", 0, 0]}}, (["x"], ["n_a", "n_b"])),
    ],
)
def test_inputs_and_outputs_have_keras_names_and_order(
    inputs: Any, outputs: Any, expected: tuple[list[str], list[str]]
) -> None:
    interface = read_interface(functional(X, Y, inputs=inputs, outputs=outputs))
    assert tuple([info.name for info in infos] for infos in (interface.inputs, interface.outputs)) == expected


def test_types_and_shapes_are_read_where_they_are_said() -> None:
    text = layer("TextVectorization", "t", dtype="string")
    interface = read_interface(functional(X, Y, text, inputs=["x", 0, 0], outputs=[["y", 0, 0], ["t", 0, 0]]))
    assert [str(info) for info in interface.inputs] == ["x int32[?, 4]"]
    assert [(info.dtype, info.shape) for info in interface.outputs] == [("float32", None), ("", None)]


@pytest.mark.parametrize(
    ("dtype", "expected"),
    [
        ("float16", "float16"),
        ({"class_name": "DTypePolicy", "config": {"name": "mixed_bfloat16"}}, "bfloat16"),
        ({"class_name": "Policy", "config": {"name": "int8_from_mixed_bfloat16"}}, "bfloat16"),
        (None, ""),
    ],
)
def test_a_policy_says_what_is_computed_in(dtype: Any, expected: str) -> None:
    output = layer("Dense", "y", dtype=dtype)
    model = functional(X, output, inputs=["x", 0, 0], outputs=["y", 0, 0])
    assert read_interface(model).outputs[0].dtype == expected


def test_a_sequential_model_has_its_first_and_last_layer() -> None:
    model = {"class_name": "Sequential", "config": {"name": "s", "layers": [X, layer("Dense", "d"), Y]}}
    interface = read_interface(model)
    assert ([i.name for i in interface.inputs], [o.name for o in interface.outputs]) == (["x"], ["y"])


@pytest.mark.parametrize(
    "model",
    [
        {"class_name": "Functional", "config": None},
        {"class_name": "Functional", "config": {"layers": [1]}},
        {"class_name": "Sequential", "config": {"layers": []}},
        functional(X, Y, inputs=["z", 0, 0], outputs=["y", 0, 0]),
        functional(X, Y, inputs=[], outputs=["y", 0, 0]),
    ],
)
def test_what_is_no_model_is_refused(model: dict[str, Any]) -> None:
    with pytest.raises(BadConfigError):
        read_interface(model)


def test_a_lambda_is_code_in_the_file_wherever_it_is() -> None:
    hidden = layer("Dense", "d", activation={"class_name": "__lambda__", "config": {"code": "4wE="}})
    wrapped = layer("Bidirectional", "b", layer=layer("Lambda", "inner"))
    model = functional(X, hidden, wrapped, Y, inputs=["x", 0, 0], outputs=["y", 0, 0])
    assert find_code(model, KNOWN) == (
        CodePart("d", "Lambda", in_file=True),
        CodePart("inner", "Lambda", in_file=True),
    )


def test_a_class_from_elsewhere_is_code() -> None:
    keras_layer = {**Y, "module": "keras.layers", "registered_name": None}
    custom = {**layer("Twice", "twice"), "module": None, "registered_name": "mine>Twice"}
    imported = {**layer("Thrice", "thrice"), "module": "mine.layers", "registered_name": None}
    model = functional(X, keras_layer, custom, imported, inputs=["x", 0, 0], outputs=["y", 0, 0])
    assert find_code(model, KNOWN) == (
        CodePart("twice", "mine>Twice"),
        CodePart("thrice", "Thrice", "mine.layers"),
    )


def test_in_an_old_file_an_unknown_layer_is_code() -> None:
    initializer = layer("Dense", "d", kernel_initializer={"class_name": "VarianceScaling", "config": {}})
    model = functional(X, initializer, layer("Twice", "t"), Y, inputs=["x", 0, 0], outputs=["y", 0, 0])
    assert find_code(model, KNOWN) == (CodePart("t", "Twice"),)
    assert find_code(model, frozenset()) == (), "nobody knows the layers of Keras"


def test_losses_and_metrics_are_not_loaded() -> None:
    model = functional(X, Y, inputs=["x", 0, 0], outputs=["y", 0, 0])
    loss: dict[str, Any] = {
        "class_name": "Loss",
        "config": {},
        "module": None,
        "registered_name": "mine>Loss",
    }
    assert find_code({**model, "compile_config": {"loss": loss}}, KNOWN) == ()


def test_deep_nesting_is_refused() -> None:
    nested: Any = layer("Dense", "d")
    for _ in range(150):
        nested = {"inner": nested}
    with pytest.raises(BadConfigError, match="nests too deeply"):
        find_code(functional(X, layer("Dense", "d", deep=nested), inputs=[], outputs=[]), KNOWN)


def test_repeated_names_are_numbered() -> None:
    assert unique_names(["a", "a_1", "a", "b", "a"]) == ["a", "a_1", "a_2", "b", "a_3"]
