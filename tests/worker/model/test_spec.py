"""What a model is."""

from pathlib import Path

from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec


def _spec(described_by: Path | None) -> ModelSpec:
    return ModelSpec("cats", "7", Path("graph.pb"), ("cat",), InputSpec(), OutputSpec(), described_by)


def test_the_label_is_name_and_version() -> None:
    assert _spec(None).label == "cats/7"


def test_a_setting_is_named_as_the_operator_says_it() -> None:
    assert _spec(None).setting("input.size", "--input-size") == "--input-size"
    assert _spec(Path("m/model.toml")).setting("input.size", "--input-size") == "input.size in m/model.toml"


def test_a_thousand_labels_do_not_fill_the_log() -> None:
    assert "cat'" not in repr(_spec(None))
