"""The program that converts a Keras file: `python -m tfleet.worker.model.keras.convert_main JOB`.

It is the only part of tfleet that imports Keras. Its limits on memory are set before that: a small file may
describe a huge model. See `job.py` for what it reads and writes.
"""

from __future__ import annotations

import json
import os
import re
import resource
import sys
import time
from typing import Any, Final

from tfleet.worker.model.keras.job import MARK, ConvertJob

_TAIL_OF_KERAS_ERROR: Final = re.compile(r"Exception encountered: (?P<why>.+)", re.DOTALL)
_MAX_ERROR: Final = 300
_OUT_OF_MEMORY: Final = frozenset({"MemoryError", "ResourceExhaustedError"})  # the second is TensorFlow's


def _main() -> None:
    began_s = time.monotonic()
    job = ConvertJob.from_json(sys.argv[1])
    _limit(job)
    _say(stage="importing Keras")
    try:
        from tfleet.worker.model.keras import export  # noqa: PLC0415 - imports Keras, after the limits

        _say(stage="reading the model")
        model = export.load(job)
        _say(stage="writing the SavedModel")
        export.save(model, job)
        _say(stage="comparing answers")
        compared = export.compare(model, job)
    except Exception as error:  # whatever Keras and TensorFlow raise, in one line
        if type(error).__name__ in _OUT_OF_MEMORY:
            _say(error=f"it needs more than {job.memory_bytes >> 30} GiB of memory")
        else:
            _say(error=_one_line(error))
    else:
        _say(compared=compared, seconds=round(time.monotonic() - began_s, 2))


def _limit(job: ConvertJob) -> None:
    """Bound this process, and keep the user's settings of Keras and the GPUs out of it."""
    for limit, most in ((resource.RLIMIT_DATA, job.memory_bytes), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    os.environ.update(
        KERAS_BACKEND="tensorflow",
        KERAS_HOME=str(job.scratch),  # or ~/.keras/keras.json would change the order of dimensions
        CUDA_VISIBLE_DEVICES="",  # a GPU's memory belongs to the workers
        TF_CPP_MIN_LOG_LEVEL=os.environ.get("TF_CPP_MIN_LOG_LEVEL", "2"),
    )
    os.environ.pop("TF_USE_LEGACY_KERAS", None)
    job.scratch.mkdir(exist_ok=True)


def _one_line(error: BaseException) -> str:
    """What went wrong, without the configuration and the advice that Keras puts around it."""
    text = str(error)
    if inner := _TAIL_OF_KERAS_ERROR.search(text):
        text = inner["why"]
    text = text.partition("Full object config:")[0].partition("\n\n")[0]
    line = " ".join(text.split()) or type(error).__name__
    return line if len(line) <= _MAX_ERROR else f"{line[:_MAX_ERROR]}..."


def _say(**message: Any) -> None:
    sys.stdout.write(f"\n{MARK}{json.dumps(message)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main()
