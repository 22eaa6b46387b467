import contextlib
import signal
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.embedded_registry import embedded_registry
from tests.support.forked_workers import ForkedWorkers, forked_workers
from tests.support.graphs import (
    decoding_graph,
    write_graph,
    write_model,
    write_saved_model,
)
from tests.support.pictures import COLOURS, picture, write_labels
from tests.support.waiting import eventually_sync
from tests.support.worker_process import Worker, worker_process
from tfleet.contract.address import Address
from tfleet.runtime.cpus import usable_cpus
from tfleet.worker.inference.precision import cpu_obstacle
from tfleet.worker.lifecycle import Lifecycle
from tfleet.worker.server import StopSignal

pytestmark = pytest.mark.process

ALONE = ("--registry", "static:", "--drain-grace", "0")


@pytest.fixture(scope="module")
def quick() -> Iterator[ForkedWorkers]:
    """Where workers come from that need not import all they need by themselves."""
    with forked_workers() as workers:
        yield workers


def best(address: Address, colour: str) -> str:
    answer = requests.post(address.url, files={"data": picture(colour)}, timeout=30)
    label: str = answer.json()[0][0]
    return label


def registered(registry: Address) -> list[str]:
    entries = requests.get(f"{registry.url}/v1/health/service/tfleet?passing", timeout=10).json()
    return [entry["Service"]["ID"] for entry in entries]


def test_a_worker_registers_when_ready_and_leaves_first(quick: ForkedWorkers, tmp_path: Path) -> None:
    model = write_model(tmp_path / "colours" / "1")
    with embedded_registry() as registry:
        options = ("--model", str(model), "--registry", f"consul://{registry}", "--drain-grace", "30")
        with quick.worker(*options) as worker:
            address = worker.address()
            assert registered(registry) == [], "it is not ready yet"
            (name,) = eventually_sync(lambda: registered(registry), timeout_s=60)
            assert worker.ready()
            assert name.startswith(f"tfleet-127.0.0.1-{address.port}-")
            worker.process.send_signal(signal.SIGTERM)
            worker.wait_for("deregistered")
            assert registered(registry) == []
            assert best(address, "red") == "red", "who still holds the address is answered"
            assert not worker.ready()
            worker.process.kill()


def test_a_folder_of_an_odd_name_is_registered_and_served(quick: ForkedWorkers, tmp_path: Path) -> None:
    model = write_model(tmp_path / "\u6a21\u578b\n" / "1")
    with embedded_registry() as registry:
        options = ("--model", str(model), "--registry", f"consul://{registry}", "--drain-grace", "0")
        with quick.worker(*options) as worker:
            eventually_sync(lambda: registered(registry), timeout_s=60)
            answer = requests.post(worker.address().url, files={"data": picture("red")}, timeout=30)
            assert (answer.status_code, answer.headers["X-Model"]) == (200, "%E6%A8%A1%E5%9E%8B/1")
            (entry,) = requests.get(f"{registry.url}/v1/health/service/tfleet", timeout=10).json()
            meta = {"model": "%E6%A8%A1%E5%9E%8B", "version": "1", "kind": "image"}
            assert entry["Service"]["Meta"] == meta
            worker.process.kill()


def test_a_failed_http_server_ends_the_worker(tmp_path: Path) -> None:
    model, keys = write_model(tmp_path / "colours" / "1"), tmp_path / "keys"
    keys.write_text("k" * 32)
    with embedded_registry() as registry:
        options = ("--model", str(model), "--registry", f"consul://{registry}", "--log-format", "json")
        command = (sys.executable, "-m", "tests.worker.failing_worker", str(keys))
        with worker_process(*options, command=command) as worker:
            eventually_sync(lambda: registered(registry), timeout_s=60)
            keys.unlink()
            assert worker.process.wait(30) == 1
            assert worker.events("HTTP server failed")
            assert registered(registry) == []


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_worker_in_order_with_code_0(
    quick: ForkedWorkers, tmp_path: Path, signum: int
) -> None:
    with quick.worker("--model", str(write_model(tmp_path / "colours" / "1")), *ALONE) as worker:
        worker.wait_for("worker ready")
        worker.process.send_signal(signum)
        assert worker.process.wait(30) == 0
        assert worker.wait_for("worker stopped")["unfinished"] == 0


def test_two_signals_at_once_end_a_worker_too(quick: ForkedWorkers, tmp_path: Path) -> None:
    model = write_model(tmp_path / "colours" / "1")
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(quick.worker("--model", str(model), *ALONE)) for _ in range(4)]
        for worker in workers:
            worker.wait_for("worker ready")
        for worker in workers:
            worker.process.send_signal(signal.SIGINT)
            worker.process.send_signal(signal.SIGTERM)
        assert [worker.process.wait(30) for worker in workers] == [0, 0, 0, 0]


def test_post_drain_ends_a_worker_in_order_with_code_0(quick: ForkedWorkers, tmp_path: Path) -> None:
    with quick.worker("--model", str(write_model(tmp_path / "colours" / "1")), *ALONE) as worker:
        worker.wait_for("worker ready")
        assert requests.post(f"{worker.address().url}/drain", timeout=10).status_code == 202
        assert worker.process.wait(30) == 0
        assert worker.wait_for("worker stopped")["unfinished"] == 0


def test_a_signal_while_it_starts_ends_it_at_once_with_code_0() -> None:
    with worker_process(*ALONE) as worker:
        worker.wait_for("worker starting")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(30) == 0
        assert worker.events("worker ready") == []


def test_a_registry_whose_name_is_not_known_is_waited_for() -> None:
    with worker_process("--registry", "consul://tfleet.invalid:8500", "--host", "0.0.0.0") as worker:
        line = worker.wait_for("no route to the registry yet, retrying")
        assert (line["level"], line["registry"]) == ("warning", "consul://tfleet.invalid:8500")
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(20) == 0


def test_the_log_has_the_start_times_and_the_hardware(tmp_path: Path) -> None:
    options = ("--cpus", "1", "--precision", "float32")
    with worker_process("--model", str(write_model(tmp_path / "colours" / "1")), *options, *ALONE) as worker:
        told = worker.wait_for("model loaded")
        assert told["seconds"].keys() == {"import", "load", "warm-up"}
        assert (told["cpus"], told["precision"], told["because"]) == (1, "float32", "requested")
        assert told["batch_sizes"][0] == 1
        metrics = requests.get(f"{worker.address().url}/metrics", timeout=10).text
        assert 'tfleet_worker_start_seconds{part="load"}' in metrics
        assert "tfleet_worker_cpus 1.0" in metrics


def test_a_bare_graph_that_decodes_by_itself_is_served(quick: ForkedWorkers, tmp_path: Path) -> None:
    graph = write_graph(tmp_path / "output_graph.pb", decoding_graph)
    labels = write_labels(tmp_path)
    options = ("--model", str(graph), "--labels", str(labels), *ALONE)
    layers = ("--input-layer", "DecodeJpeg/contents:0", "--output-layer", "final_result:0")
    with quick.worker(*options, *layers) as worker:
        _serves_colours(worker)


def test_a_tensorflow_2_saved_model_is_served(quick: ForkedWorkers, tmp_path: Path) -> None:
    folder = tmp_path / "colours" / "1"
    write_saved_model(folder)
    write_labels(folder)
    (folder / "model.toml").write_text("[input]\nsize = 8\n")
    with quick.worker("--model", str(folder), *ALONE) as worker:
        told = worker.wait_for("model loaded")
        assert told["form"] == "a SavedModel, frozen"
        assert told["cpus"] == usable_cpus()
        if cpu_obstacle(Path("/proc/cpuinfo").read_text()):  # what bfloat16 does, only another CPU can show
            assert "no bfloat16 instructions" in told["because"]
        _serves_colours(worker)


def _serves_colours(worker: Worker) -> None:
    worker.wait_for("worker ready")
    for colour in COLOURS:
        assert best(worker.address(), colour) == colour


@pytest.fixture
def stop() -> Iterator[StopSignal]:
    """That of this process; the handlers are as before at the end."""
    before = {signum: signal.getsignal(signum) for signum in (signal.SIGTERM, signal.SIGINT)}
    hook = sys.unraisablehook
    yield StopSignal(Lifecycle())
    sys.unraisablehook = hook
    for signum, handler in before.items():
        signal.signal(signum, handler)


def test_a_signal_waits_for_the_http_server_to_start(stop: StopSignal) -> None:
    """An exception before its thread is known would leave the thread behind, and so the process."""
    started = []

    def start() -> None:
        with stop.deferred():
            signal.raise_signal(signal.SIGTERM)
            started.append(True)

    with pytest.raises(SystemExit, match="0"):
        start()
    assert started


def test_no_signal_interrupts_the_end_of_a_start(stop: StopSignal) -> None:
    with pytest.raises(SystemExit):
        signal.raise_signal(signal.SIGTERM)
    signal.raise_signal(signal.SIGTERM)  # a second one, while the first one ends the worker
    refused = StopSignal(Lifecycle())
    refused.finish_undisturbed()
    signal.raise_signal(signal.SIGTERM)  # while a worker ends that was refused


def test_a_signal_within_a_weak_references_callback_counts(
    stop: StopSignal, capfd: pytest.CaptureFixture[str]
) -> None:
    """Python suppresses what such a callback raises, and TensorFlow is full of them."""
    referred = {"one": Lifecycle()}
    reference = weakref.ref(referred["one"], lambda _: signal.raise_signal(signal.SIGTERM))

    def starting() -> None:
        referred.clear()
        eventually_sync(lambda: False)

    with pytest.raises(SystemExit):
        starting()
    assert reference() is None
    assert capfd.readouterr().err == ""
