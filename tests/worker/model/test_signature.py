"""A signature is read from a protocol buffer into frozen values."""

from types import SimpleNamespace
from typing import Any

import pytest

from tfleet.worker.model.signature import Signature, TensorInfo, dtype_name, read_signature


def _info(name: str, dtype: int, *sizes: int, unknown_rank: bool = False) -> Any:
    shape = SimpleNamespace(unknown_rank=unknown_rank, dim=[SimpleNamespace(size=size) for size in sizes])
    return SimpleNamespace(name=name, dtype=dtype, tensor_shape=shape)


def test_a_definition_becomes_a_frozen_value() -> None:
    definition = SimpleNamespace(
        inputs={"b": _info("in_b:0", 9, -1, 3), "a": _info("in_a:0", 19)},
        outputs={"y": _info("out:0", 7, unknown_rank=True)},
        method_name="tensorflow/serving/predict",
    )
    assert read_signature("serving_default", definition) == Signature(
        "serving_default",
        (TensorInfo("a", "in_a:0", "float16", ()), TensorInfo("b", "in_b:0", "int64", (None, 3))),
        (TensorInfo("y", "out:0", "string", None),),
        "tensorflow/serving/predict",
    )


@pytest.mark.parametrize(
    ("number", "name"), [(1, "float32"), (14, "bfloat16"), (19, "float16"), (101, "float32"), (99, "type 99")]
)
def test_a_type_has_the_name_that_tensorflow_gives_it(number: int, name: str) -> None:
    assert dtype_name(number) == name


@pytest.mark.parametrize(
    ("shape", "text"),
    [((None, 224, 3), "x float32[?, 224, 3]"), ((), "x float32[]"), (None, "x float32?")],
)
def test_a_tensor_is_described_with_its_shape(shape: Any, text: str) -> None:
    assert str(TensorInfo("x", "x:0", "float32", shape)) == text


def test_an_input_and_an_output_are_found_by_name() -> None:
    a, y = TensorInfo("a", "a:0", "float32", ()), TensorInfo("y", "y:0", "float32", ())
    signature = Signature("serving_default", (a,), (y,))
    assert (signature.input("a"), signature.output("y")) == (a, y)
    assert (signature.input("y"), signature.output("a")) == (None, None)


@pytest.mark.process
def test_the_names_of_all_types_are_those_of_tensorflow() -> None:
    from tfleet.worker.model.tensorflow import tf  # noqa: PLC0415 - the other tests do without TensorFlow

    for number in range(1, 31):
        known = dtype_name(number)
        if not known.startswith("type "):
            assert tf.dtypes.as_dtype(number).name in {known, "half" if known == "float16" else known}
