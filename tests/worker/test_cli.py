import socket
import subprocess
from pathlib import Path

import pytest
import requests

from tests.support.embedded_registry import embedded_registry
from tests.support.graphs import pixel_graph, write_graph, write_model
from tests.support.pictures import write_labels
from tests.support.worker_process import COMMAND
from tfleet.worker.inference.precision import cpu_obstacle

pytestmark = pytest.mark.process


def worker(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--model", "nowhere"), "nowhere"),
        (("--registry", "etcd://x"), "consul://HOST:8500"),
        (("--advertise", "nonsense"), "--advertise: 'nonsense' has no port"),
        (("--threads", "0"), "--threads"),
        (("--cpus", "0"), "--cpus"),
        (("--precision", "int8"), "auto"),
        (("--precision-tolerance", "2"), "--precision-tolerance"),
        (("--max-pixels", "-1"), "--max-pixels"),
        (("--ticket-key-file", "nowhere"), "tfleet worker: --ticket-key-file nowhere: no such file"),
        (("--host", "192.0.2.1", "--registry", "static:"), "can't listen on 192.0.2.1"),
    ],
)
def test_an_unusable_option_is_exit_code_2_with_a_reason(options: tuple[str, ...], said: str) -> None:
    run = worker(*options)
    assert run.returncode == 2
    assert said in run.stderr
    assert "Traceback" not in run.stderr


def test_an_unusable_model_is_one_line_and_never_registers(tmp_path: Path) -> None:
    model = write_graph(tmp_path / "graph.pb", pixel_graph)
    labels = write_labels(tmp_path)
    with embedded_registry() as registry:
        run = worker(
            *("--model", str(model), "--labels", str(labels), "--registry", f"consul://{registry}"),
            *("--input-layer", "image:0", "--output-layer", "final_result:0"),
        )
        known = requests.get(f"{registry.url}/v1/agent/services", timeout=10).json()
    assert run.returncode == 2
    line = run.stderr.splitlines()[-1]
    assert line.startswith(f"tfleet worker: {model}: ")
    assert "final_result:0" in line, "what is missing"
    assert "shares:0" in line, "what the graph offers instead"
    assert known == {}


def test_a_taken_port_is_one_line_that_names_the_option(tmp_path: Path) -> None:
    model = write_model(tmp_path / "colours" / "1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        run = worker("--port", str(port), "--model", str(model), "--registry", "static:")
    assert run.returncode == 2
    assert f"can't listen on 127.0.0.1:{port}: Address already in use; see --host and --port" in run.stderr


@pytest.mark.skipif(not cpu_obstacle(Path("/proc/cpuinfo").read_text()), reason="this CPU has bfloat16")
def test_bfloat16_by_name_on_a_cpu_without_it_is_one_clear_line() -> None:
    run = worker("--precision", "bfloat16", "--registry", "static:", "--port", "0")
    assert run.returncode == 2
    assert run.stderr.splitlines()[-1] == (
        "tfleet worker: --precision bfloat16: this CPU has no bfloat16 instructions (avx512_bf16 or "
        "amx_bf16); say --precision auto or float32"
    )


def test_help_shows_examples() -> None:
    text = " ".join(worker("--help").stdout.split())
    for taught in (
        "DecodeJpeg/contents:0",
        "final_result:0",
        "NAME/VERSION",
        "consul://",
        "EfficientNet",
        "--cpus",
        "affinity and cgroup quota",
        "[auto|float32|bfloat16]",
        "TFLEET_PRECISION_TOLERANCE",
    ):
        assert taught in text


def test_help_says_which_models_the_options_describe() -> None:
    text = " ".join(worker("--help").stdout.split())
    assert "File with the labels of a model without model.toml" in text
    assert ".pb file" not in text
