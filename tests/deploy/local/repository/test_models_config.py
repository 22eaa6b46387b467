from __future__ import annotations

import pytest

from tfleet.deploy.local.repository.models_config import ConfiguredModel, read_models_config
from tfleet.deploy.local.repository.text_format import TextFormatError
from tfleet.deploy.local.repository.values import VersionPolicy

DOCUMENTED = """
model_config_list {
  config {
    name: 'my_first_model'
    base_path: '/tmp/my_first_model/'
    model_platform: 'tensorflow'
  }
  config {
    model_platform: "tensorflow"
    model_version_policy {
      specific {
        versions: 42
        versions: 43
      }
    }
    version_labels { key: 'stable' value: 42 }
    version_labels { key: 'canary' value: 43 }
    base_path: '/tmp/my_second_model/'
    name: 'my_second_model'
    logging_config { }
  }
}
"""


def one(inside: str) -> ConfiguredModel:
    (model,) = read_models_config(f'model_config_list {{ config {{ name: "m" base_path: "/m" {inside} }} }}')
    return model


def error_of(text: str) -> str:
    with pytest.raises(TextFormatError) as caught:
        read_models_config(text)
    return str(caught.value)


def test_the_documented_example_is_read() -> None:
    first, second = read_models_config(DOCUMENTED)
    assert first == ConfiguredModel("my_first_model", "/tmp/my_first_model/", VersionPolicy(1), {}, ())
    assert second.policy == VersionPolicy(None, frozenset({"42", "43"}))
    assert second.labels == {"stable": "42", "canary": "43"}
    assert second.not_read == ("logging_config",)


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ("latest { num_versions: 3 }", VersionPolicy(3)),
        ("latest { }", VersionPolicy(1)),
        ("all: { }", VersionPolicy(None)),
        ("specific { versions: [1, 7] }", VersionPolicy(None, frozenset({"1", "7"}))),
    ],
)
def test_each_policy_is_read(policy: str, expected: VersionPolicy) -> None:
    assert one(f"model_version_policy: {{ {policy} }}").policy == expected


def test_a_config_without_models_is_one() -> None:
    assert read_models_config("model_config_list: { }") == ()


@pytest.mark.parametrize(
    ("inside", "error"),
    [
        (
            "base_pth: 'x'",
            "line 1: config has no field 'base_pth'; known are name, base_path",
        ),
        ("model_platform: 'onnx'", "model m has the platform 'onnx': expected tensorflow"),
        ("model_type: OTHER", "model m has the platform 'OTHER': expected tensorflow"),
        ("name: 'n'", "line 1: name stands twice in config"),
        ("model_version_policy { }", "a version policy has one of latest, all and specific"),
        ("model_version_policy { all {} latest {} }", "a version policy has one of latest, all and specific"),
        ("model_version_policy { specific {} }", "specific names no versions"),
        (
            "model_version_policy { latest { num: 1 } }",
            "line 1: latest has no field 'num'; known are",
        ),
        ("version_labels { key: 'x' }", "a version label needs a key and a value, found key 'x'"),
        ("version_labels { value: 1 }", "a version label needs a key and a value, found key ''"),
    ],
)
def test_what_a_model_can_not_have_is_one_line(inside: str, error: str) -> None:
    found = error_of(f'model_config_list {{ config {{ name: "m" base_path: "/m" {inside} }} }}')
    assert found.startswith(error)
    assert "\n" not in found


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "has no model_config_list"),
        ("custom_model_config { }", "custom_model_config is not supported: use model_config_list"),
        ("models { }", "line 1: models.config has no field 'models'"),
        (
            "model_config_list { config { base_path: '/m' } }",
            "a model's name is '': expected",
        ),
        ("model_config_list { config { name: 'm' } }", "model m has the base_path '': expected a folder"),
        (
            "model_config_list { config { name: 'm' base_path: 's3://b/m' } }",
            "model m has the base_path 's3://b/m': expected a folder",
        ),
        (
            "model_config_list { config { name: 'm' base_path: 'a' } config { name: 'm' base_path: 'b' } }",
            "has two models called m",
        ),
        (
            "model_config_list {"
            + "".join(f"config {{ name: 'm{number}' base_path: 'x' }}" for number in range(101))
            + "}",
            "has 101 models: at most 100 are served",
        ),
    ],
)
def test_a_file_that_can_not_be_used_is_one_line(text: str, error: str) -> None:
    assert error_of(text).startswith(error)
