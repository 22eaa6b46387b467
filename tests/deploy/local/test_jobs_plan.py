"""The Redis that `tfleet up --jobs` starts. The whole fleet with one is in tests/fleet/test_jobs.py."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import click
import pytest
from redis import Redis
from redis.exceptions import RedisError

from tests.support.environment import users_environment
from tests.support.jobs import LIMITS, answered, new_job
from tests.support.redis_server import need_redis
from tests.support.waiting import eventually_sync
from tfleet.deploy.local.jobs_plan import JobsPlan, jobs_plan
from tfleet.jobs.connect import require_redis_library, shards_of
from tfleet.jobs.job import JobState
from tfleet.jobs.redis_url import RedisUrl, read_redis_urls
from tfleet.jobs.sharded_queue import ShardedQueue

PORT = 22480
# What `tfleet up` does with its Redis, without the rest of a fleet.
_UP = f"""
import asyncio, sys
from tfleet.deploy.local.jobs_plan import OWN_REDIS, jobs_plan
from tfleet.deploy.local.supervisor import Stage, Supervisor
from tfleet.deploy.local.terminal import Console, ProcessMessages
from tfleet.deploy.signals import on_stop_signal
from tfleet.runtime.supervised_process import SupervisedProcess

async def main():
    plan = jobs_plan(OWN_REDIS, {PORT})
    print(plan.url, flush=True)
    messages = ProcessMessages("redis", Console(out=sys.stderr, err=sys.stderr))
    stage = Stage((SupervisedProcess(plan.server, messages),), listens=plan.socket)
    supervisor = Supervisor([stage], stop_timeout_s=10)
    with on_stop_signal(supervisor.stop):
        await supervisor.run()

asyncio.run(main())
"""


@contextlib.contextmanager
def up(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Redis]]:
    """A process that keeps a Redis, and a client of it. The process may have ended at the end."""
    need_redis()
    environment = users_environment() | {"XDG_STATE_HOME": str(folder)}
    command = (sys.executable, "-c", _UP)
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        try:
            with Redis.from_url(process.stdout.readline().strip()) as client:
                yield process, client
        finally:
            process.terminate()


def pid_of(client: Redis) -> int:
    """The process that answers with its data; 0 while none does."""
    with contextlib.suppress(RedisError):
        client.ping()  # refused while Redis reads its file, which INFO is not
        return int(client.info("server")["process_id"])
    return 0


@pytest.mark.process
@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGKILL])
def test_redis_ends_with_the_fleet(tmp_path: Path, signum: signal.Signals) -> None:
    with up(tmp_path) as (process, client):
        pid = eventually_sync(lambda: pid_of(client))
        process.send_signal(signum)
        process.wait(20)
        eventually_sync(Path(f"/proc/{pid}").exists, wanted=(False).__eq__)


@pytest.mark.process
def test_a_killed_redis_comes_back_with_its_data(tmp_path: Path) -> None:
    with up(tmp_path) as (_, client):
        first = eventually_sync(lambda: pid_of(client))
        client.set("a job", "its answer")
        subprocess.run(["kill", "-9", str(first)], check=True)
        eventually_sync(lambda: pid_of(client), wanted=lambda found: found not in {0, first})
        assert client.get("a job") == b"its answer"
    with up(tmp_path) as (_, client):
        eventually_sync(lambda: pid_of(client))
        assert client.get("a job") == b"its answer", "the next fleet at this port has it, too"


@pytest.mark.process
def test_only_this_user_can_reach_it(tmp_path: Path) -> None:
    folder = tmp_path / "tfleet" / f"jobs-{PORT}"
    folder.mkdir(parents=True, mode=0o755)
    with up(tmp_path) as (_, client):
        assert eventually_sync(lambda: pid_of(client))
        socket = folder / "redis.sock"
        assert [stat.S_IMODE(path.stat().st_mode) for path in (folder, socket)] == [0o700, 0o700]
        assert client.config_get("port")["port"] == "0", "it listens on none"


@pytest.mark.process
def test_jobs_go_through_its_socket(tmp_path: Path) -> None:
    with up(tmp_path) as (_, client):
        eventually_sync(lambda: pid_of(client))
        path = client.get_connection_kwargs()["path"]
        asyncio.run(one_job(read_redis_urls(f"unix://{path}")))


async def one_job(urls: Sequence[RedisUrl]) -> None:
    """As a proxy and a worker have it."""
    require_redis_library()
    queue, [worker] = ShardedQueue(shards_of(urls, "t"), LIMITS), shards_of(urls, "t")
    tasks = [asyncio.create_task(task()) for task in queue.tasks]
    try:
        job_id = await queue.submit(new_job())
        waiting = asyncio.create_task(queue.wait(job_id, 30))
        assert await answered(worker) == job_id
        assert (await waiting).state is JobState.DONE
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await queue.close()
        await worker.connection.close()


@pytest.mark.process
def test_a_folder_with_a_long_path_has_a_redis(tmp_path: Path) -> None:
    """A unix socket has a short one, and may have no comma or space in its address."""
    with up(tmp_path / "a, b" / ("c" * 100)) as (_, client):
        assert eventually_sync(lambda: pid_of(client))
    with up(tmp_path / "d, %41 e") as (_, client):
        assert eventually_sync(lambda: pid_of(client))


@pytest.mark.process
def test_a_folder_that_is_none_is_one_line(tmp_path: Path) -> None:
    need_redis()
    (tmp_path / "tfleet").touch()
    command = (sys.executable, "-m", "tfleet", "up", "--jobs", "--port", str(PORT))
    environment = users_environment() | {"XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 2
    assert f"--jobs: the folder {tmp_path}/tfleet/jobs-{PORT} can't be used: " in done.stderr


@pytest.mark.process
def test_without_a_redis_it_says_how_to_get_one(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "tfleet", "up", "--jobs", "--port", str(PORT))
    environment = users_environment() | {"PATH": str(tmp_path), "XDG_STATE_HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 2
    assert "redis-server is not on the PATH: install it (apt-get install redis-server)" in done.stderr


def test_a_named_redis_is_not_started() -> None:
    assert jobs_plan("redis://10.0.0.5", PORT) == JobsPlan("redis://10.0.0.5")
    assert jobs_plan(None, PORT) is None


def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(click.UsageError, match="an address begins with none of"):
        jobs_plan("http://10.0.0.5", PORT)
