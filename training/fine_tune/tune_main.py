"""The program that trains the network: `python -m tfleet.training.fine_tune.tune_main JOB`.

Of `tfleet retrain` it is the only part that imports Keras. See `job.py` for what it reads and writes.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path
from typing import Any, Final

from tfleet.training.fine_tune.job import MARK, FineTuneJob

_MAX_ERROR: Final = 300
_OUT_OF_MEMORY: Final = frozenset({"MemoryError", "ResourceExhaustedError"})  # the second is TensorFlow's


def _main() -> None:
    job = FineTuneJob.from_json(sys.argv[1])
    _limit(job)
    try:
        from tfleet.training.fine_tune.tuning import tune  # noqa: PLC0415 - imports Keras, after the limits
        from tfleet.worker.model.tensorflow import tf  # noqa: PLC0415

        tf.config.threading.set_intra_op_parallelism_threads(job.cpus)
        figures = tune(job, _report)
    except Exception as error:  # whatever Keras and TensorFlow raise, in one line
        if type(error).__name__ in _OUT_OF_MEMORY:
            _say(error=f"it needs more than {job.memory_bytes >> 30} GiB of memory")
        else:
            _say(error=(" ".join(str(error).split()) or type(error).__name__)[:_MAX_ERROR])
    else:
        _say(**figures)


def _limit(job: FineTuneJob) -> None:
    """Bound this process, and keep the user's settings of Keras and the GPUs out of it."""
    for limit, most in ((resource.RLIMIT_DATA, job.memory_bytes), (resource.RLIMIT_CORE, 0)):
        _, hard = resource.getrlimit(limit)
        resource.setrlimit(limit, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    os.environ.update(
        KERAS_BACKEND="tensorflow",
        KERAS_HOME=str(
            Path(job.work, "keras")
        ),  # or ~/.keras/keras.json would change the order of dimensions
        CUDA_VISIBLE_DEVICES="",  # a GPU's memory belongs to the workers
        TF_USE_LEGACY_KERAS="0",
    )


def _report(epoch: int, done: int, total: int) -> None:
    _say(epoch=epoch, done=done, total=total)


def _say(**message: Any) -> None:
    sys.stdout.write(f"\n{MARK}{json.dumps(message)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    _main()
