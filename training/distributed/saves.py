"""What the script saves: process 0 writes it, whole or not at all, and keeps a copy. No other writes any."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import keras
from keras.src.distribution import distribution_lib
from keras.src.saving import saving_api

if TYPE_CHECKING:
    from tfleet.training.distributed.rank_job import RankJob

_Save: TypeAlias = Callable[..., Any]
_SUFFIXES: Final = frozenset({".keras", ".h5"})


def install(job: RankJob) -> None:
    """Change how Keras saves in this process."""
    model = _once(job) if job.rank == 0 else _nothing
    other = _alone if job.rank == 0 else _nothing
    saving_api.save_model = keras.saving.save_model = keras.models.save_model = model(saving_api.save_model)
    saving_api.save_weights = other(saving_api.save_weights)
    keras.Model.export = other(keras.Model.export)
    if job.rank:
        # Two processes would write the same files.
        for kind in (keras.callbacks.CSVLogger, keras.callbacks.TensorBoard):
            for name in vars(keras.callbacks.Callback):
                if name.startswith("on_") or name == "set_model":
                    setattr(kind, name, getattr(keras.callbacks.Callback, name))


def _nothing(save: _Save) -> _Save:
    @wraps(save)
    def nothing(*_: Any, **__: Any) -> None:
        return None

    return nothing


def _alone(save: _Save) -> _Save:
    @wraps(save)
    def alone(*args: Any, **options: Any) -> Any:
        with _by_itself():
            return save(*args, **options)

    return alone


def _once(job: RankJob) -> Callable[[_Save], _Save]:
    """Save models to their names by a rename, and the last one to the folder `job.saved`, too."""

    def changed(save: _Save) -> _Save:
        @wraps(save)
        def once(model: Any, filepath: Any, overwrite: bool = True, **options: Any) -> Any:
            path = Path(os.fspath(filepath)) if isinstance(filepath, str | os.PathLike) else None
            is_file = path is not None and path.suffix in _SUFFIXES and options.get("zipped") is not False
            with _by_itself():
                if path is None or not is_file or (path.exists() and not overwrite):
                    return save(model, filepath, overwrite=overwrite, **options)
                written = path.with_name(f".{path.stem}.saving-{os.getpid()}{path.suffix}")
                job.writing.write_text(str(written.absolute()), encoding="utf-8")
                try:
                    save(model, str(written), overwrite=True, **options)
                    _keep(written, path, job)
                    written.replace(path)
                finally:
                    written.unlink(missing_ok=True)
                return None

        return once

    return changed


def _keep(written: Path, path: Path, job: RankJob) -> None:
    job.saved.mkdir(exist_ok=True)
    for before in job.saved.iterdir():
        before.unlink()
    kept = job.saved / path.name
    try:
        os.link(written, kept)
    except OSError:  # another file system
        shutil.copyfile(written, kept)


@contextmanager
def _by_itself() -> Iterator[None]:
    """Make variables for this process alone: Keras makes some as it saves, and the others would have to make
    them, too.
    """
    before = distribution_lib.distribution()
    distribution_lib.set_distribution(None)
    try:
        yield
    finally:
        distribution_lib.set_distribution(before)
