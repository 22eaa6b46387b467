"""Models that a models.config or a config.pbtxt describes, as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from tfleet.deploy.local.repository.completeness import found_models
from tfleet.deploy.local.repository.source import ConfigSource, FolderSource
from tfleet.deploy.local.repository.values import RepositoryError, VersionPolicy


def write(file: Path, text: str = "x") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def test_a_models_config_names_its_models_and_where_they_are(tmp_path: Path) -> None:
    write(tmp_path / "store" / "export" / "7" / "saved_model.pb")
    config = write(
        tmp_path / "models.config",
        f"""model_config_list {{
          config {{ name: "flowers" base_path: "{tmp_path}/store/export"
                    model_version_policy {{ all {{}} }} }}
          config {{ name: "cats" base_path: "store/export"
                    model_version_policy {{ specific {{ versions: 8 }} }} logging_config {{}} }}
          config {{ name: "dogs" base_path: "nowhere" }}
        }}""",
    )
    found = ConfigSource(config).poll()
    assert found.models["flowers"].versions["7"].path == tmp_path / "store" / "export" / "7"
    assert found.models["flowers"].policy == VersionPolicy(None)
    assert set(found.models["cats"].versions) == {"7"}
    assert found.models["dogs"].versions == {}
    assert found.problems == (
        f"{config}: model cats has no version 8",
        f"{config}: logging_config of model cats is not used: workers log each request",
        f"{tmp_path}/nowhere: cannot be read: No such file or directory",
    )


def test_versions_of_tensorflow_serving_have_leading_zeros(tmp_path: Path) -> None:
    file = write(tmp_path / "m" / "00000123" / "graph.pb")
    policy = "model_version_policy { specific { versions: 123 } }"
    config = f'model_config_list {{ config {{ name: "m" base_path: "m" {policy} }} }}'
    found = ConfigSource(write(tmp_path / "models.config", config)).poll()
    assert found.models["m"].versions["123"].path == file.parent
    assert found.problems == ()


def test_a_changed_models_config_is_read_again(tmp_path: Path) -> None:
    for version in ("1", "2"):
        write(tmp_path / "m" / version / "graph.pb")
    text = 'model_config_list {{ config {{ name: "m" base_path: "m" model_version_policy {{ {} }} }} }}'
    config = write(tmp_path / "models.config", text.format("specific { versions: 1 }"))
    source = ConfigSource(config)
    assert source.poll().models["m"].policy.specific == frozenset({"1"})
    write(config, text.format("specific { versions: 2 }"))
    assert source.poll().models["m"].policy.specific == frozenset({"2"})
    write(config, "model_config_list { ")
    with pytest.raises(RepositoryError, match=r"models.config: line 1: expected the name of a field or '}'"):
        source.poll()
    config.unlink()
    with pytest.raises(RepositoryError, match=r"models.config: cannot be read: No such file"):
        source.poll()


def test_the_same_version_elsewhere_is_another_release(tmp_path: Path) -> None:
    for place in ("a", "b"):
        (tmp_path / place / "1").mkdir(parents=True)
        (tmp_path / place / "1" / "graph.pb").hardlink_to(write(tmp_path / "graph.pb"))
    text = 'model_config_list {{ config {{ name: "m" base_path: "{}" }} }}'
    releases = []
    for place in ("a", "b"):
        poll = ConfigSource(write(tmp_path / "models.config", text.format(place))).poll()
        releases.append(found_models(poll, poll)["m"].versions["1"])
    assert releases[0] != releases[1]


def test_tritons_layout_is_read_as_it_is(tmp_path: Path) -> None:
    write(tmp_path / "graphs" / "1" / "model.graphdef")
    write(tmp_path / "graphs" / "config.pbtxt", 'backend: "tensorflow" version_policy { all { } }')
    write(tmp_path / "saved" / "3" / "model.savedmodel" / "saved_model.pb")
    write(tmp_path / "named" / "1" / "net.savedmodel" / "saved_model.pb")
    write(tmp_path / "named" / "config.pbtxt", 'default_model_filename: "net.savedmodel"')
    found = FolderSource(tmp_path, keep=1).poll()
    assert found.problems == ()
    assert found.models["graphs"].policy == VersionPolicy(None)
    assert found.models["saved"].policy == VersionPolicy(2)
    assert found.models["saved"].versions["3"].path == tmp_path / "saved" / "3"
    assert found.models["named"].versions["1"].path == tmp_path / "named" / "1" / "net.savedmodel"


def test_a_model_of_another_framework_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path / "m" / "1" / "model.onnx")
    write(tmp_path / "m" / "config.pbtxt", 'platform: "onnxruntime_onnx"')
    found = FolderSource(tmp_path).poll()
    assert found.models["m"].versions == {}
    assert found.problems[0].startswith(f"{tmp_path}/m/config.pbtxt: platform is 'onnxruntime_onnx'")
