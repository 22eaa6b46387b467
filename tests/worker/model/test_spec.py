"""What a model is."""

from dataclasses import replace
from pathlib import Path

from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec, ServingSpec


def _spec(described_by: Path | None) -> ModelSpec:
    return ModelSpec("cats", "7", Path("graph.pb"), ("cat",), InputSpec(), OutputSpec(), described_by)


def test_the_label_is_name_and_version() -> None:
    assert _spec(None).label == "cats/7"


def test_a_setting_is_named_as_the_operator_says_it() -> None:
    assert _spec(None).setting("input.size", "--input-size") == "--input-size"
    assert _spec(Path("m/model.toml")).setting("input.size", "--input-size") == "input.size in m/model.toml"


def test_a_thousand_labels_do_not_fill_the_log() -> None:
    assert "cat'" not in repr(_spec(None))


def test_a_converted_model_is_known_by_its_file(tmp_path: Path) -> None:
    spec = replace(_spec(None), path=tmp_path)
    assert (spec.origin, spec.folder) == (tmp_path, tmp_path)
    converted = replace(spec, serving=ServingSpec(converted_from=Path("m/model.keras")))
    assert (converted.origin, converted.folder) == (Path("m/model.keras"), Path("m"))
    described = replace(spec, described_by=Path("n/model.toml"))
    assert described.folder == Path("n")
