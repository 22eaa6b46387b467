"""Converts all Keras files of a folder: `python -m tests.support.converted_models DIR`.

DIR/cache becomes a cache of conversions, for workers that start with `XDG_CACHE_HOME=DIR/cache`, and
DIR/NAME.keras.saved and DIR/NAME.h5.saved link to the SavedModels in it. One process converts them all, since
Keras takes seconds to import. Files that cannot be converted are left out.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

import structlog

from tests.support.keras_models import convert_here
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.keras.cache import converted


def convert_all(folder: Path) -> None:
    folder = folder.absolute()
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    for path in sorted([*folder.glob("*.keras"), *folder.glob("*.h5")]):
        with contextlib.suppress(ModelError):
            entry = converted(path, trust=False, log=structlog.get_logger(), convert=convert_here)
            # Relative, for whoever renames the folder.
            path.with_name(f"{path.name}.saved").symlink_to(entry.relative_to(folder))


if __name__ == "__main__":
    convert_all(Path(sys.argv[1]))
