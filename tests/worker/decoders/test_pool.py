import os
import signal
import sys
import threading
import time

import pytest

from tests.support.waiting import eventually_sync
from tests.worker.decoders.pools import LIMITS, MIB, Make, Scene, ended
from tfleet.worker.decoders import (
    CallerGoneError,
    DecodeOverdueError,
    DecoderDiedError,
    DecoderKilledError,
    DecodersBusyError,
    DecodeTimeoutError,
    NoDecoderError,
    PoolLimits,
)
from tfleet.worker.decoders.errors import KillReason

# Decoders are processes.
pytestmark = pytest.mark.process


def killed(scene: Scene) -> dict[str, int]:
    return {reason: times for reason, times in scene.pool.killed.items() if times}


def test_a_job_returns_its_result(scene: Scene) -> None:
    outcome = scene.run("echo", body=b"image")
    assert (outcome.header["length"], outcome.body) == (5, b"image")


def test_a_decoder_is_used_again(scene: Scene) -> None:
    assert scene.run("echo").header["pid"] == scene.run("echo").header["pid"]


def test_nothing_is_started_before_the_first_job(make: Make) -> None:
    assert repr(make().pool) == "<DecoderPool running=0 waiting=0 processes=0>"


def test_as_many_run_at_once_as_there_are_processes(make: Make) -> None:
    scene = make(PoolLimits(2, 0, decode_timeout_s=30))
    pids = {scene.begin_long()[1], scene.begin_long()[1]}
    assert len(pids) == 2
    with pytest.raises(DecodersBusyError, match="wait for them"):
        scene.run("echo")


def test_a_waiting_job_runs_when_one_has_finished(scene: Scene) -> None:
    gone = threading.Event()
    scene.begin_long(gone=gone.is_set)
    waiting = [scene.begin("echo", body=b"1")]
    scene.wait_for(running=1, waiting=1)
    waiting.append(scene.begin("echo", body=b"2"))
    scene.wait_for(running=1, waiting=2)
    with pytest.raises(DecodersBusyError):
        scene.run("echo")
    gone.set()
    assert [future.result(20).body for future in waiting] == [b"1", b"2"]


def test_a_job_waits_until_its_memory_is_free(make: Make) -> None:
    scene = make(PoolLimits(2, 2, decode_timeout_s=30, memory_bytes=100))
    gone = threading.Event()
    scene.begin_long(memory_bytes=60, gone=gone.is_set)
    large = scene.begin("echo", memory_bytes=60)
    scene.wait_for(running=1, waiting=1)
    gone.set()
    large.result(20)


def test_too_much_cpu_time_ends_a_decoder(make: Make) -> None:
    scene = make(PoolLimits(1, 2, decode_timeout_s=0.2))
    future, pid = scene.begin_long("burn")
    with pytest.raises(DecodeTimeoutError, match=r"0\.2 s of CPU time"):
        future.result(20)
    assert ended(pid)
    assert killed(scene) == {KillReason.TIMEOUT: 1}
    assert scene.log.lines[0] | {"cpu_s": 0} == {
        "event": "decoder killed",
        "level": "info",
        "reason": "timeout",
        "pid": pid,
        "cpu_s": 0,
    }
    assert scene.run("echo").header["pid"] != pid


def test_a_job_waiting_too_long_fails_as_busy(make: Make) -> None:
    scene = make(PoolLimits(1, 2, answer_within_s=2))
    future, pid = scene.begin_long("sleep")
    with pytest.raises(DecodersBusyError, match="too busy for the image"):
        future.result(20)
    assert ended(pid)
    assert scene.pool.killed[KillReason.BUSY] == 1


def test_time_waited_before_the_pool_counts(make: Make) -> None:
    scene = make(PoolLimits(1, 2, answer_within_s=5))
    with pytest.raises(DecodersBusyError):
        scene.run("echo", waited_s=5)
    assert scene.run("echo", waited_s=1, body=b"1").body == b"1"


def test_memory_used_before_the_job_does_not_count(make: Make) -> None:
    scene = make(PoolLimits(1, 2, decode_timeout_s=2))
    pids = {scene.run("spend", {"cpu_s": 0.6}).header["pid"] for _ in range(4)}
    assert len(pids) == 1


def test_a_client_that_leaves_ends_its_job(scene: Scene) -> None:
    gone = threading.Event()
    future, pid = scene.begin_long("burn", gone=gone.is_set)
    gone.set()
    with pytest.raises(CallerGoneError):
        future.result(5)
    assert ended(pid)
    assert killed(scene) == {KillReason.CLIENT_GONE: 1}


def test_a_deadline_ends_a_job(scene: Scene) -> None:
    with pytest.raises(DecodeOverdueError):
        scene.run("sleep", {"started": "/dev/null"}, deadline_s=0.5)
    assert killed(scene) == {KillReason.DEADLINE: 1}


def test_a_waiting_job_can_be_cancelled(scene: Scene) -> None:
    scene.begin_long()
    gone = threading.Event()
    leaves = scene.begin("echo", gone=gone.is_set)
    scene.wait_for(running=1, waiting=1)
    with pytest.raises(DecodeOverdueError):
        scene.run("echo", deadline_s=0.2)
    gone.set()
    with pytest.raises(CallerGoneError):
        leaves.result(5)
    scene.wait_for(running=1, waiting=0)
    assert killed(scene) == {}


def test_a_job_whose_client_has_gone_is_not_started(scene: Scene) -> None:
    with pytest.raises(CallerGoneError):
        scene.run("echo", gone=lambda: True)
    with pytest.raises(DecodeOverdueError):
        scene.run("echo", deadline_s=0)
    assert "processes=0" in repr(scene.pool)


def test_an_exited_decoder_is_reported_with_its_output(scene: Scene) -> None:
    with pytest.raises(DecoderDiedError, match=r"ended \(exit code 3\)"):
        scene.run("leave", {"code": 3})
    line = scene.log.lines[-1]
    assert (line["event"], line["how"]) == ("decoder died", "exit code 3")
    assert line["stderr"] == "these are\nmy last words"
    assert killed(scene) == {KillReason.DIED: 1}
    assert scene.run("echo", body=b"next").body == b"next"


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGRTMIN + 5])
def test_a_decoder_ended_by_a_signal_is_reported(scene: Scene, number: int) -> None:
    with pytest.raises(DecoderDiedError, match=f"signal {int(number)}, ") as raised:
        scene.run("kill", {"signal": int(number)})
    assert isinstance(raised.value, DecoderKilledError) == (number == signal.SIGKILL)


@pytest.mark.parametrize(
    "command", [(sys.executable, "-c", "import no_such_module"), (sys.executable, "-c", "")]
)
def test_a_decoder_that_cannot_start_fails_its_job_only(make: Make, command: tuple[str, ...]) -> None:
    scene = make(command=command)
    for times in (1, 2):
        with pytest.raises(NoDecoderError, match="started"):
            scene.run("echo")
        assert len(scene.log.lines) == times
    assert ("no_such_module" in scene.log.lines[-1]["stderr"]) is ("no_such" in command[-1])


def test_a_program_that_is_not_there_fails_the_job(make: Make) -> None:
    scene = make(command=("/no/such/program",))
    with pytest.raises(NoDecoderError, match="no decoder could be started"):
        scene.run("echo")
    assert "/no/such/program" in scene.log.lines[-1]["error"]


def test_a_decoder_that_died_without_a_job_is_replaced(scene: Scene) -> None:
    pid = scene.run("echo").header["pid"]
    os.kill(pid, signal.SIGKILL)
    eventually_sync(lambda: ended(pid))
    assert scene.run("echo").header["pid"] != pid


def test_memory_over_the_limit_is_an_answer(make: Make) -> None:
    scene = make(PoolLimits(1, 2, decode_timeout_s=30, address_space_bytes=400 * MIB))
    outcome = scene.run("allocate", {"bytes": 500 * MIB})
    assert outcome.header["error"] == "MemoryError"
    assert killed(scene) == {KillReason.MEMORY: 1}
    assert scene.run("allocate", {"bytes": MIB}).header == {"length": MIB}


def test_an_error_that_is_known_is_an_answer(scene: Scene) -> None:
    header = scene.run("fail", {"error": "SpecialError", "message": "no picture"}).header
    assert header == {"error": "SpecialError", "message": "no picture"}


def test_an_error_that_is_not_known_says_where_it_was(scene: Scene) -> None:
    header = dict(scene.run("fail", {"error": "ValueError", "message": "x" * 5000}).header)
    where = header.pop("where")
    assert header == {"error": "ValueError", "message": "x" * 1000, "unexpected": True}
    assert "program.py:" in where
    assert where.endswith(" in fail")


@pytest.mark.parametrize(
    "nonsense", [b"HTTP/1.1 200 OK", b"\0\0\0\2\0\0\0\xff\0\0\0\0{}", b"\0\0\0\2\0\0\0\0\0\0\0\0[]"]
)
def test_a_decoder_with_an_invalid_answer_is_killed(scene: Scene, nonsense: bytes) -> None:
    with pytest.raises(DecoderDiedError, match="sent an invalid answer"):
        scene.run("write", body=nonsense)
    assert "processes=0" in repr(scene.pool)
    assert killed(scene) == {KillReason.DIED: 1}


def test_an_answer_over_the_limit_is_not_taken(make: Make) -> None:
    scene = make(PoolLimits(1, 2, decode_timeout_s=30, answer_bytes=1000))
    assert len(scene.run("echo", {"times": 100}, bytes(10)).body) == 1000
    with pytest.raises(DecoderDiedError):
        scene.run("echo", {"times": 101}, bytes(10))


def test_much_output_on_stderr_does_not_block_a_decoder(scene: Scene) -> None:
    assert scene.run("chatter", {"chars": 300_000}).header == {}


def test_decoders_without_work_end(make: Make) -> None:
    scene = make(LIMITS, idle_s=0.2)
    pid = scene.run("echo").header["pid"]
    eventually_sync(lambda: ended(pid))
    eventually_sync(lambda: repr(scene.pool), wanted="<DecoderPool running=0 waiting=0 processes=0>".__eq__)
    assert scene.run("echo").header["pid"] != pid


def test_closing_kills_busy_and_idle_decoders(make: Make) -> None:
    scene = make(PoolLimits(2, 1, decode_timeout_s=30))
    at_work, pid = scene.begin_long()
    idle_pid = scene.run("echo").header["pid"]
    scene.pool.close()
    assert ended(pid)
    assert ended(idle_pid)
    with pytest.raises(NoDecoderError, match="the worker is stopping"):
        at_work.result(5)
    assert scene.log.lines == []


def test_closing_ends_the_waiting_jobs(scene: Scene) -> None:
    scene.begin_long()
    waiting = scene.begin("echo")
    scene.wait_for(running=1, waiting=1)
    scene.pool.close()
    with pytest.raises(NoDecoderError, match="the worker is stopping"):
        waiting.result(5)
    with pytest.raises(NoDecoderError, match="the worker is stopping"):
        scene.run("echo")


def test_large_bodies_cost_little_of_the_workers_time(scene: Scene) -> None:
    scene.run("echo")
    began_s = time.thread_time()
    outcome = scene.run("echo", {"times": 2}, bytes(30_000_000))
    spent_s = time.thread_time() - began_s
    assert len(outcome.body) == 60_000_000
    assert spent_s < 0.3, "to copy them once takes some tens of milliseconds"
