"""The configuration of a TensorFlow session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from tfleet.worker.inference.precision import Precision

_MAX_CONCURRENT_RUNS: Final = 2
_ON = 1  # RewriterConfig.Toggle in tensorflow/core/protobuf/rewriter_config.proto


def concurrent_runs_on(cpus: int) -> int:
    """The best number of concurrent runs of a session on `cpus` CPUs, 1 or 2.

    The threads that share an operation wait for the slowest of them; a second run fills these gaps, and those
    where another process takes a CPU away for a moment.
    """
    return min(_MAX_CONCURRENT_RUNS, cpus)


def configuration(cpus: int, precision: Precision) -> tf.compat.v1.ConfigProto:
    """The options of a session that uses `cpus` CPUs.

    The thread pool for operations belongs to the process: its first session sets the size.
    """
    config = tf.compat.v1.ConfigProto(
        # Graphs with operations that are pinned to a GPU should run without one as well.
        allow_soft_placement=True,
        intra_op_parallelism_threads=cpus,
        # oneDNN keeps its primitives, including weights in its own layout, for each thread that starts
        # operations (MklPrimitiveFactory in tensorflow/core/util/mkl_util.h). With one thread for each
        # concurrent run the warm-up creates them all. With -1 (the threads that call `run`) each of 8 threads
        # created its own at its first requests, and took 60 MB for them.
        inter_op_parallelism_threads=concurrent_runs_on(cpus),
    )
    # Otherwise the first process allocates all of a GPU's memory.
    config.gpu_options.allow_growth = True
    if precision == "bfloat16":
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = _ON
    return config


def sees_gpu() -> bool:
    """Whether TensorFlow has found a usable GPU."""
    return bool(tf.config.list_physical_devices("GPU"))
