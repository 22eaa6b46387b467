"""Find the model that `--model` and its companion options describe. No TensorFlow.

`--model` may be
- a version folder: `NAME/VERSION/` with labels.txt, model.toml and the graph, which is graph.pb, or a
  SavedModel (saved_model.pb and variables/) in the folder itself or in `saved_model/` in it;
- the folder NAME: the version with the highest number is used;
- a frozen graph's file, or the folder of a SavedModel without model.toml, described by `--labels` and other
  options.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.manifest import read_labels, read_manifest
from tfleet.worker.model.spec import InputSpec, ModelSpec, OutputSpec

DEFAULT_MODEL: Final = Path(__file__).parents[1] / "models" / "efficientnet-lite0"
# The version of a model without a version folder.
NO_VERSION: Final = "0"

GRAPH: Final = "graph.pb"
SAVED_MODEL: Final = "saved_model.pb"
LABELS: Final = "labels.txt"
MANIFEST: Final = "model.toml"


def find_model(
    path: Path | None,
    *,
    labels: Path | None = None,
    input_layer: str | None = None,
    output_layer: str | None = None,
    input_size: int | None = None,
    input_mean: float | None = None,
    input_std: float | None = None,
) -> ModelSpec:
    """Find and describe the model at `path`, or the default model if it is None.

    The other options describe a graph without a model folder; their names are those of TensorFlow's
    label_image.py. `input_size` is in pixels, for both sides. Raises `ModelError`.
    """
    given = {
        "--labels": labels,
        "--input-layer": input_layer,
        "--output-layer": output_layer,
        "--input-size": input_size,
        "--input-mean": input_mean,
        "--input-std": input_std,
    }
    options = [name for name, value in given.items() if value is not None]
    if path is None:
        path = DEFAULT_MODEL
        if options:
            raise ModelError(f"{', '.join(options)} describe a model: name it with --model")
    if not path.exists():
        raise ModelError(
            f"{path}: there is no such file or folder; --model names a model folder or a frozen graph"
        )
    if path.is_file() or (options and (path / SAVED_MODEL).is_file() and not (path / MANIFEST).exists()):
        if input_size is not None and input_size < 1:
            raise ModelError("--input-size must be at least 1 pixel")
        if input_std == 0:
            raise ModelError("--input-std must not be 0: pixels are divided by it")
        return ModelSpec(
            name=path.resolve().stem,
            version=NO_VERSION,
            path=_bare_graph(path),
            labels=_labels_of_bare_graph(path, labels),
            input=InputSpec(
                tensor=input_layer,
                size=None if input_size is None else (input_size, input_size),
                mean=None if input_mean is None else (input_mean,),
                std=None if input_std is None else (input_std,),
            ),
            output=OutputSpec(tensor=output_layer),
        )
    if options:
        raise ModelError(
            f"{path}: is a model folder, and its {MANIFEST} describes the model: remove {', '.join(options)}"
        )
    return _read_folder(_version_folder(path))


def _bare_graph(path: Path) -> Path:
    if path.name == SAVED_MODEL:
        raise ModelError(f"{path}: is part of a SavedModel; give its folder: {path.parent}")
    return path


def _labels_of_bare_graph(path: Path, labels: Path | None) -> tuple[str, ...]:
    if labels is None:
        raise ModelError(f"{path}: a graph without a model folder needs --labels FILE, one label a line")
    return read_labels(labels)


def _version_folder(path: Path) -> Path:
    if any((path / name).exists() for name in (GRAPH, SAVED_MODEL, "saved_model", LABELS, MANIFEST)):
        return path
    folders = [entry for entry in path.iterdir() if entry.is_dir()]
    # isdecimal alone would let "²" and other scripts' digits through to int().
    versions = [entry for entry in folders if entry.name.isascii() and entry.name.isdecimal()]
    if versions:
        return max(versions, key=lambda entry: int(entry.name))
    there = ", ".join(sorted(entry.name for entry in path.iterdir())[:5]) or "nothing"
    raise ModelError(
        f"{path}: has neither a model ({GRAPH} or {SAVED_MODEL}) nor a numbered version folder; "
        f"it has {there}"
    )


def _read_folder(folder: Path) -> ModelSpec:
    graph = _graph_of_folder(folder)
    manifest = read_manifest(folder / MANIFEST)
    resolved = folder.resolve()
    return ModelSpec(
        name=resolved.parent.name,
        version=resolved.name,
        path=graph,
        labels=read_labels(folder / LABELS),
        input=manifest.input,
        output=manifest.output,
        described_by=folder / MANIFEST,
        serving=manifest.serving,
    )


def _graph_of_folder(folder: Path) -> Path:
    candidates = {
        folder / GRAPH: folder / GRAPH,
        folder / SAVED_MODEL: folder,
        folder / "saved_model" / SAVED_MODEL: folder / "saved_model",
    }
    graphs = [graph for file, graph in candidates.items() if file.is_file()]
    if len(graphs) == 1:
        return graphs[0]
    if graphs:
        raise ModelError(f"{folder}: has both a {GRAPH} and a SavedModel, or two SavedModels: keep one")
    raise ModelError(f"{folder}: has no graph: put {GRAPH} or a SavedModel ({SAVED_MODEL}, variables/) there")
