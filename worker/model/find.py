"""Find the model that `--model` and its companion options describe. No TensorFlow.

`--model` may be
- a version folder `NAME/VERSION/`: a model, and beside it labels.txt and model.toml where they are needed;
- the folder NAME: the version with the highest number is used;
- a file: a frozen graph, or a Keras file;
- any other folder with one model in it.

A folder's model is its graph.pb, a SavedModel in the folder itself, in `saved_model/` or (as in Triton's
repositories) in `model.savedmodel/`, or else the only model file that the folder has. A file that is its
folder's model has what is beside it, too; of a file among others that would be a guess. Options such as
`--labels` describe a model without model.toml.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from tfleet.contract.identifiers import version_of_folder
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.formats import ModelFormat, file_format
from tfleet.worker.model.manifest import Manifest, read_labels, read_manifest
from tfleet.worker.model.saved_model_proto import SAVED_MODEL, read_saved_model
from tfleet.worker.model.spec import Activation, InputSpec, ModelSpec, OutputSpec, ServingSpec
from tfleet.worker.model.variables import check_files

DEFAULT_MODEL: Final = Path(__file__).parents[1] / "models" / "efficientnet-lite0"
# The version of a model without a version folder.
NO_VERSION: Final = "0"

GRAPH: Final = "graph.pb"
SAVED_MODEL_CHUNKS: Final = "saved_model.cpb"
LABELS: Final = "labels.txt"
MANIFEST: Final = "model.toml"

_SAVED_MODEL_FOLDERS: Final = ("saved_model", "model.savedmodel")
# How people call models' files, also of formats that are refused: then the line says why.
_SUFFIXES: Final = frozenset(
    (
        *(".pb", ".keras", ".h5", ".hdf5", ".hdf", ".graphdef", ".pbtxt", ".meta"),
        *(".tflite", ".lite", ".onnx", ".pt", ".pth", ".bin", ".safetensors", ".npz"),
        *(".pkl", ".pickle", ".joblib", ".gz", ".tgz", ".tar", ".zip"),
    )
)
# Files that describe a model, or belong to a SavedModel of a newer or older TensorFlow.
_NO_MODELS: Final = frozenset((LABELS, MANIFEST, "fingerprint.pb", "keras_metadata.pb", "tfhub_module.pb"))
_NO_MODELS_SUFFIXES: Final = frozenset(
    (".md", ".txt", ".json", ".toml", ".yaml", ".yml", ".csv", ".jpg", ".jpeg", ".png")
)
_MAX_LISTED: Final = 5


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a model is.

    `folder` may have labels and a model.toml; None for a file that shares its folder with other models.
    """

    graph: Path
    folder: Path | None
    name: str
    version: str


def find_model(
    path: Path | None,
    *,
    labels: Path | None = None,
    input_layer: str | None = None,
    output_layer: str | None = None,
    input_size: int | None = None,
    input_mean: float | None = None,
    input_std: float | None = None,
    activation: Activation | None = None,
    signature: str | None = None,
    trust: bool = False,
) -> ModelSpec:
    """Find and describe the model at `path`, or the default model if it is None.

    The other options describe a model without model.toml; their names are those of TensorFlow's
    label_image.py. `input_size` is in pixels, for both sides. With `trust` code in the model may run. Raises
    `ModelError`.
    """
    given = {
        "--labels": labels,
        "--input-layer": input_layer,
        "--output-layer": output_layer,
        "--input-size": input_size,
        "--input-mean": input_mean,
        "--input-std": input_std,
        "--activation": activation,
        "--signature": signature,
    }
    options = [name for name, value in given.items() if value is not None]
    if path is None:
        path = DEFAULT_MODEL
        if options:
            raise ModelError(f"{', '.join(options)} describe a model: name it with --model")
    output = OutputSpec(output_layer, activation)
    by_options = Manifest(
        _input(input_layer, input_size, input_mean, input_std), output, ServingSpec(signature=signature)
    )
    place = _place(path)
    if place.graph.is_dir():
        _check_saved_model(place.graph)
    described = None if place.folder is None else place.folder / MANIFEST
    if described is not None and not described.exists():
        described = None
    if described is not None and options:
        is_it = "is a model folder, and its" if path.is_dir() else "the folder's"
        raise ModelError(f"{path}: {is_it} {MANIFEST} describes the model: remove {', '.join(options)}")
    said = by_options if described is None else read_manifest(described)
    return ModelSpec(
        name=place.name,
        version=place.version,
        path=place.graph,
        labels=_labels(place, labels),
        input=said.input,
        output=said.output,
        described_by=described,
        serving=replace(said.serving, trust=trust),
    )


def manifest_file(path: Path) -> Path:
    """Where the model.toml of the model at `path` is, or would be.

    Raises `ModelError` for a file that shares its folder with others, since a model.toml is about a folder.
    """
    folder = _place(path).folder
    if folder is None:
        raise ModelError(f"{path}: move it to a folder of its own, such as {path.stem}/1, and name that")
    return folder / MANIFEST


def _has_folder(file: Path) -> bool:
    """Whether the file is the only model of its folder, so that what is beside it is about this model."""
    alone = _graphs(file.parent) or _model_files(file.parent) or _unknown_files(file.parent)
    return [each.name for each in alone] == [file.name]


def unread_files(spec: ModelSpec) -> tuple[Path, ...]:
    """The files beside a model's file that nobody reads, since other models are there as well."""
    if not spec.origin.is_file() or _has_folder(spec.origin):
        return ()
    names = (MANIFEST,) if spec.labels else (LABELS, MANIFEST)
    return tuple(file for name in names if (file := spec.origin.parent / name).exists())


def _input(tensor: str | None, size: int | None, mean: float | None, std: float | None) -> InputSpec:
    """The input that the options describe. Raises `ModelError`."""
    if size is not None and size < 1:
        raise ModelError("--input-size must be at least 1 pixel")
    if std == 0:
        raise ModelError("--input-std must not be 0: pixels are divided by it")
    sides = None if size is None else (size, size)
    return InputSpec(tensor=tensor, size=sides, mean=_vector(mean), std=_vector(std))


def _vector(number: float | None) -> tuple[float, ...] | None:
    return None if number is None else (number,)


def _labels(place: _Place, option: Path | None) -> tuple[str, ...]:
    """The labels of the option, or else of the folder; none where there are neither."""
    if option is not None:
        return read_labels(option)
    if place.folder is not None and (place.folder / LABELS).exists():
        return read_labels(place.folder / LABELS)
    return ()


def _place(path: Path) -> _Place:
    if path.is_dir():
        return _place_of_folder(path)
    if not path.exists():
        raise ModelError(
            f"{path}: there is no such file or folder; --model names a model folder, a SavedModel, a "
            "Keras file or a frozen graph"
        )
    if path.name == SAVED_MODEL or file_format(path) is ModelFormat.SAVED_MODEL:
        raise ModelError(f"{path}: is part of a SavedModel; give its folder: {path.parent}")
    return _Place(path, path.parent if _has_folder(path) else None, path.resolve().stem, NO_VERSION)


def _place_of_folder(path: Path) -> _Place:
    folder = _version_folder(path)
    graph = _graph_of_folder(folder)
    if graph.is_file() and file_format(graph) is ModelFormat.SAVED_MODEL:
        raise ModelError(f"{graph}: is part of a SavedModel; call it {SAVED_MODEL}")
    resolved = folder.resolve()
    if _is_version(resolved):
        return _Place(graph, folder, resolved.parent.name, version_of_folder(resolved.name))
    return _Place(graph, folder, resolved.name, NO_VERSION)


def _check_saved_model(folder: Path) -> None:
    if (file := folder / SAVED_MODEL).is_file() and file_format(file) is not ModelFormat.SAVED_MODEL:
        raise ModelError(f"{file}: is not a SavedModel's graph: export the model again")
    for meta_graph in read_saved_model(folder):
        check_files(folder, meta_graph)


def _version_folder(path: Path) -> Path:
    """The folder itself, if there is a model or a description in it, or else its highest version."""
    if _graphs(path) or any((path / name).exists() for name in (LABELS, MANIFEST, SAVED_MODEL_CHUNKS)):
        return path
    versions = [entry for entry in path.iterdir() if entry.is_dir() and _is_version(entry)]
    files = _model_files(path)
    if versions and files:
        raise ModelError(
            f"{path}: has version folders, and {_names(files)} beside them: name the file or the version "
            "to serve"
        )
    return max(versions, key=lambda entry: int(entry.name)) if versions else path


def _is_version(folder: Path) -> bool:
    # isdecimal alone would let "²" and other scripts' digits through to int().
    return folder.name.isascii() and folder.name.isdecimal()


def _graph_of_folder(folder: Path) -> Path:
    graphs = _graphs(folder)
    if len(graphs) > 1:
        raise ModelError(f"{folder}: has both a {GRAPH} and a SavedModel, or two SavedModels: keep one")
    if graphs:
        return graphs[0]
    _refuse_by_names(folder)
    files = _model_files(folder) or _unknown_files(folder)
    inner = [entry for entry in sorted(folder.iterdir()) if (entry / SAVED_MODEL).is_file()]
    if len(files) == 1 and not inner:
        return files[0]
    served = [*inner, *filter(_is_served, files)]
    if len(served) > 1:
        raise ModelError(f"{folder}: has several models: name one of {_names(served)}")
    if served:
        raise ModelError(
            f"{folder}: has several files that may be models: name the one to serve, {served[0]}"
        )
    if files:
        raise ModelError(_none_is_served(folder, files))
    raise ModelError(_no_model(folder))


def _is_served(file: Path) -> bool:
    try:
        file_format(file)
    except ModelError:
        return False
    return True


def _none_is_served(folder: Path, files: list[Path]) -> str:
    """Why none of the files is served: what the first one is, and its way out."""
    try:
        file_format(files[0])
    except ModelError as error:
        return f"{folder}: none of {_names(files)} can be served: {error}"
    raise AssertionError("the caller has found that it can't be served")


def _graphs(folder: Path) -> list[Path]:
    """The models whose names are agreed upon: the frozen graph's file, and the SavedModels' folders."""
    saved_models = [folder, *(folder / name for name in _SAVED_MODEL_FOLDERS)]
    found = [each for each in saved_models if (each / SAVED_MODEL).is_file()]
    return [folder / GRAPH, *found] if (folder / GRAPH).is_file() else found


def _model_files(folder: Path) -> list[Path]:
    """The files with the suffix of a model, of any format."""
    return [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in _SUFFIXES and file.name not in _NO_MODELS and file.is_file()
    ]


def _unknown_files(folder: Path) -> list[Path]:
    """The files that could be anything."""
    return [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() not in _NO_MODELS_SUFFIXES
        and file.name not in _NO_MODELS
        and not file.name.startswith((".", "LICENSE", "README"))
        and file.is_file()
    ]


def _refuse_by_names(folder: Path) -> None:
    """Refuse folders of several files that are one model."""
    # TensorFlow 2.21 as it is released can't write such a file ("The option `experimental_image_format` is
    # disabled in OSS."), nor does the loader of TensorFlow 1 or 2 read one ("SavedModel file does not exist
    # at: .../{saved_model.pbtxt|saved_model.pb}"). Its Python code makes the file's name, and never opens it;
    # the module that puts chunks together is in no release. The C library (TF_LoadSessionFromSavedModel) says
    # "Could not find SavedModel .pb or .pbtxt".
    if (folder / SAVED_MODEL_CHUNKS).is_file():
        raise ModelError(
            f"{folder}: is a SavedModel in chunks ({SAVED_MODEL_CHUNKS}), which TensorFlow's Python can't "
            "load: save it again without SaveOptions(experimental_image_format=True), with its weights in "
            "variables"
        )
    for data in sorted(folder.glob("*.data-*-of-*")):
        if (index := data.with_suffix(".index")).is_file():
            file_format(index)  # that of a checkpoint
    if (folder / "model.json").is_file():
        file_format(folder / "model.json")  # TensorFlow.js, or an architecture without weights


def _no_model(folder: Path) -> str:
    """Why a folder can't be served that has no model."""
    there = _names(sorted(folder.iterdir())) or "nothing"
    if (folder / MANIFEST).exists() or (folder / LABELS).exists():
        return (
            f"{folder}: has no graph: put {GRAPH}, a SavedModel ({SAVED_MODEL}, variables/) or a Keras "
            f"file there; it has {there}"
        )
    return (
        f"{folder}: has neither a model ({GRAPH}, {SAVED_MODEL}, .keras or .h5) nor a numbered version "
        f"folder; it has {there}"
    )


def _names(files: list[Path]) -> str:
    names = ", ".join(file.name for file in files[:_MAX_LISTED])
    return f"{names}, ..." if len(files) > _MAX_LISTED else names
