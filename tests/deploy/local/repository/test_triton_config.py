from __future__ import annotations

import pytest

from tfleet.deploy.local.repository.text_format import TextFormatError
from tfleet.deploy.local.repository.triton_config import TritonConfig, read_triton_config
from tfleet.deploy.local.repository.values import VersionPolicy

DOCUMENTED = """
name: "inception_graphdef"
platform: "tensorflow_graphdef"
max_batch_size: 128
input [
  {
    name: "input"
    data_type: TYPE_FP32
    format: FORMAT_NHWC
    dims: [ 299, 299, 3 ]
  }
]
output [
  {
    name: "InceptionV3/Predictions/Softmax"
    data_type: TYPE_FP32
    dims: [ 1001 ]
    label_filename: "inception_labels.txt"
  }
]
instance_group [ { count: 2 kind: KIND_CPU } ]
dynamic_batching { preferred_batch_size: [ 4, 8 ] max_queue_delay_microseconds: 100 }
version_policy: { specific { versions: [1, 3] } }
"""


def test_the_documented_example_is_read() -> None:
    config = read_triton_config(DOCUMENTED, "inception_graphdef")
    assert config == TritonConfig(VersionPolicy(None, frozenset({"1", "3"})), "")


def test_the_models_file_may_have_any_name() -> None:
    text = 'backend: "tensorflow" default_model_filename: "net.savedmodel"'
    assert read_triton_config(text, "m") == TritonConfig(None, "net.savedmodel")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ('name: "other"', "name is 'other', but the folder is called m"),
        ('platform: "onnxruntime_onnx"', "platform is 'onnxruntime_onnx': tfleet serves TensorFlow models"),
        ('backend: "pytorch"', "backend is 'pytorch': tfleet serves models of tensorflow only"),
        ("ensemble_scheduling { step [ ] }", "ensemble_scheduling is not supported"),
        ('default_model_filename: "../x"', "default_model_filename is '../x': expected a name"),
        ('default_model_filename: ".."', "default_model_filename is '..': expected a name"),
        ("max_batch: 3", "line 1: config.pbtxt has no field 'max_batch'; known are"),
        ("input [", "line 1: expected a value"),
    ],
)
def test_what_is_not_served_is_one_line(text: str, error: str) -> None:
    with pytest.raises(TextFormatError) as caught:
        read_triton_config(text, "m")
    assert str(caught.value).startswith(error)
    assert "\n" not in str(caught.value)
