"""A session with TensorFlow's own number of threads that start operations.

tfleet's has one for each of the two runs that a worker makes at once. Who runs more of them would be held
back by it.
"""

from __future__ import annotations

from typing import Any

from tfleet.worker.model.tensorflow import tf


def concurrent_session(*, graph: tf.Graph, config: tf.compat.v1.ConfigProto) -> Any:
    """For `Classifier.load`."""
    config.inter_op_parallelism_threads = 0
    # Otherwise it would get the threads of the process's first session, and so their number.
    config.use_per_session_threads = True
    return tf.compat.v1.Session(graph=graph, config=config)
