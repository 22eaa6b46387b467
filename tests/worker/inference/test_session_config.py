"""What TensorFlow is told."""

import pytest

from tfleet.worker.inference.precision import Precision
from tfleet.worker.inference.session_config import concurrent_runs_on, configuration, sees_gpu
from tfleet.worker.model.tensorflow import tf

pytestmark = pytest.mark.process


@pytest.mark.parametrize(("precision", "toggle"), [("float32", "DEFAULT"), ("bfloat16", "ON")])
def test_bfloat16_is_grapplers_rewrite(precision: Precision, toggle: str) -> None:
    text = str(configuration(2, precision).graph_options.rewrite_options)
    assert ("auto_mixed_precision_onednn_bfloat16: ON" in text) == (toggle == "ON")


@pytest.mark.parametrize(("cpus", "lanes"), [(1, 1), (2, 2), (3, 2), (64, 2)])
def test_operations_use_all_cpus_and_a_thread_per_lane(cpus: int, lanes: int) -> None:
    config = configuration(cpus, "float32")
    assert (config.intra_op_parallelism_threads, config.inter_op_parallelism_threads) == (cpus, lanes)
    assert concurrent_runs_on(cpus) == lanes


def test_gpu_memory_grows_and_a_gpu_is_optional() -> None:
    config = configuration(1, "float32")
    assert config.gpu_options.allow_growth
    assert config.allow_soft_placement


def test_a_gpu_is_seen_where_tensorflow_sees_one() -> None:
    assert sees_gpu() == any("GPU" in device.name for device in tf.config.list_physical_devices())
