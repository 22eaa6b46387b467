"""The program that reads an HDF5 file's description: `python -m tfleet.worker.model.keras.hdf5_main FILE`.

It writes one JSON object to standard output: the attributes, or `error`. It imports h5py, and no Keras.
"""

from __future__ import annotations

import json
import resource
import sys
from typing import Any, Final

_MEMORY_BYTES: Final = 1 << 30
_CPU_S: Final = 20
_MAX_CONFIG_BYTES: Final = 64 << 20
_MAX_ERROR: Final = 300
_ATTRIBUTES: Final = ("model_config", "keras_version", "backend")


def _read(path: str) -> dict[str, str]:
    import h5py  # noqa: PLC0415 - after the limits

    from tfleet.worker.model.keras.hdf5_links import OutsideDataError, check_links  # noqa: PLC0415 - as above

    with h5py.File(path, "r") as file:
        try:
            check_links(file)
        except OutsideDataError as error:
            return {"error": f"has data in other files, which are not read: {error}"[:_MAX_ERROR]}
        if "model_config" not in file.attrs:
            weights = {"layers", "model_weights", "vars", "_layer_checkpoint_dependencies"} & set(file)
            if weights or "layer_names" in file.attrs:
                return {
                    "error": "has the weights only, not the model: build the model in Python, load_weights, "
                    "and save it with model.save('NAME.keras')"
                }
            return {"error": "is an HDF5 file without a Keras model: it has no attribute model_config"}
        found = {name: _text(file.attrs[name]) for name in _ATTRIBUTES if name in file.attrs}
    if len(found["model_config"]) > _MAX_CONFIG_BYTES:
        return {"error": f"its configuration is larger than {_MAX_CONFIG_BYTES} bytes"}
    return found


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _main() -> None:
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer = _read(sys.argv[1])
    except (OSError, RuntimeError, ValueError, KeyError, MemoryError, TypeError) as error:
        text = str(error).partition("\n")[0] or type(error).__name__
        answer = {"error": f"the HDF5 file is damaged or cut off: {text}"[:_MAX_ERROR]}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    _main()
