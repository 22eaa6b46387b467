"""How TensorFlow is told to run a session."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tfleet.worker.model.tensorflow import tf

if TYPE_CHECKING:
    from tfleet.worker.inference.precision import Precision

_MOST_LANES: Final = 2
_ON = 1  # RewriterConfig.Toggle in tensorflow/core/protobuf/rewriter_config.proto


def lanes_on(cpus: int) -> int:
    """How many runs a session on so many CPUs is best given at once, 1 or 2.

    The threads that share an operation wait for the slowest of them, and at its ends for each other; a second
    run fills these gaps, and those of whatever else takes a CPU away for a moment.
    """
    return min(_MOST_LANES, cpus)


def configuration(cpus: int, precision: Precision) -> tf.compat.v1.ConfigProto:
    """The options of a session that is to use so many CPUs.

    The pool in which operations are computed is the process's: its first session decides.
    """
    config = tf.compat.v1.ConfigProto(
        # Graphs that were exported with operations pinned to a GPU run without one, too.
        allow_soft_placement=True,
        intra_op_parallelism_threads=cpus,
        # oneDNN's primitives, weights in their own layout included, are kept for each thread that starts
        # operations (MklPrimitiveFactory in tensorflow/core/util/mkl_util.h). With a thread for each lane the
        # warm-up makes them all. In the threads that call `run` (-1) each of 8 made its own at its first
        # requests, and took 60 MB for them.
        inter_op_parallelism_threads=lanes_on(cpus),
    )
    # Otherwise the first process takes all of a GPU's memory.
    config.gpu_options.allow_growth = True
    if precision == "bfloat16":
        config.graph_options.rewrite_options.auto_mixed_precision_onednn_bfloat16 = _ON
    return config


def sees_gpu() -> bool:
    """Whether TensorFlow has found a GPU that it can use."""
    return bool(tf.config.list_physical_devices("GPU"))
