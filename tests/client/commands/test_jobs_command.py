"""`tfleet jobs` on a real Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import TypeVar

import pytest
from click.testing import CliRunner, Result

from tests.support.jobs import STREAM, queued, taken
from tests.support.redis_fixtures import redis, service
from tests.support.redis_server import RedisServer, shard_of
from tfleet.deploy.cli import cli
from tfleet.jobs.job import JobState
from tfleet.jobs.shard import Shard, Totals

__all__ = ["redis", "service"]

T = TypeVar("T")
Run = Callable[..., Result]
On = Callable[[Callable[[Shard], Awaitable[T]]], T]


@pytest.fixture
def run(redis: RedisServer, service: str) -> Run:
    """`tfleet jobs ...` for this test's service."""

    def run(command: str, *arguments: str) -> Result:
        options = ("--jobs", redis.url.text, "--service", service)
        return CliRunner().invoke(cli, ["jobs", command, *arguments, *options])

    return run


@pytest.fixture
def on_shard(redis: RedisServer, service: str) -> On[object]:
    """Run a coroutine on this test's jobs."""

    def on_shard(step: Callable[[Shard], Awaitable[object]]) -> object:
        async def connected() -> object:
            async with shard_of(redis, service) as shard:
                return await step(shard)

        return asyncio.run(connected())

    return on_shard


async def killed_two_workers(shard: Shard) -> str:
    """The id of a dead job."""
    job_id = await queued(shard, b"poison")
    await taken(shard, "w1")
    for worker in ("w2", "w3"):
        await asyncio.sleep(0.02)
        if found := await shard.reclaim(worker, STREAM, 10):
            await shard.begin(worker, STREAM, [found])
    return job_id


def test_open_jobs_are_listed(run: Run, on_shard: On[str]) -> None:
    job_id = on_shard(queued)
    shown = run("list")
    assert shown.exit_code == 0
    assert job_id in shown.output
    assert "flowers/1" in shown.output
    [document] = json.loads(run("list", "--json").output)["jobs"]
    assert (document["id"], document["state"]) == (job_id, "queued")


def test_dead_jobs_are_listed_with_their_reason(run: Run, on_shard: On[str]) -> None:
    job_id = on_shard(killed_two_workers)
    shown = run("dead")
    assert job_id in shown.output
    assert "2 workers died" in shown.output
    assert run("list").output == "no open jobs\n"


def test_dead_jobs_are_queued_again(run: Run, on_shard: On[str]) -> None:
    job_id = on_shard(killed_two_workers)
    done = run("retry", job_id)
    assert (done.exit_code, done.output) == (0, "1 job queued again\n")
    assert job_id in run("list").output
    assert run("dead").output == "no dead jobs\n"


def test_all_dead_jobs_are_dropped(run: Run, on_shard: On[object]) -> None:
    for _ in range(2):
        on_shard(killed_two_workers)
    assert run("drop", "--all").output == "2 jobs dropped\n"
    assert on_shard(lambda shard: shard.totals()) == Totals(0, 0)


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_jobs_that_are_not_dead_stay(run: Run, on_shard: On[str], command: str) -> None:
    job_id = on_shard(queued)
    done = run(command, job_id)
    assert done.exit_code == 1
    assert f"{job_id} is not a dead job: it is queued already" in done.output

    async def state(shard: Shard) -> str:
        record = await shard.read(job_id)
        assert record is not None
        return record.state.value

    assert on_shard(state) == JobState.QUEUED


def test_a_repeated_retry_says_that_it_is_queued(run: Run, on_shard: On[str]) -> None:
    job_id = on_shard(killed_two_workers)
    assert run("retry", job_id, job_id).exit_code == 0
    again = run("retry", job_id)
    assert (again.exit_code, again.stdout) == (1, "0 jobs queued again\n")
    assert again.stderr == f"tfleet jobs: {job_id} is not a dead job: it is queued already\n"


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_jobs_that_are_not_there_are_said(run: Run, command: str) -> None:
    done = run(command, "x")
    assert (done.exit_code, done.stderr) == (1, "tfleet jobs: there is no job x\n")


@pytest.fixture
def run_with_one_away(redis: RedisServer, service: str) -> Run:
    """`tfleet jobs ...` with a second Redis that does not answer."""

    def run(command: str, *arguments: str) -> Result:
        options = ("--jobs", f"redis://127.0.0.1:1,{redis.url.text}", "--service", service)
        return CliRunner().invoke(cli, ["jobs", command, *arguments, *options])

    return run


def only_one_is_away(done: Result) -> bool:
    """One line says which, with exit code 1."""
    line = done.stderr.startswith("tfleet jobs: the Redis at redis://127.0.0.1:1 fails: ")
    return line and done.stderr.count("\n") == 1 and done.exit_code == 1


def test_a_redis_that_is_away_hides_no_others_jobs(run_with_one_away: Run, on_shard: On[str]) -> None:
    dead_id, job_id = on_shard(killed_two_workers), on_shard(queued)
    for command, expected in (("list", job_id), ("dead", dead_id)):
        shown = run_with_one_away(command)
        assert expected in shown.stdout
        assert only_one_is_away(shown)
        document = json.loads(run_with_one_away(command, "--json").stdout)
        assert [job["id"] for job in document["jobs"]] == [expected]
        assert len(document["unavailable"]) == 1


@pytest.mark.parametrize("every", [True, False])
@pytest.mark.parametrize(("command", "done"), [("retry", "queued again"), ("drop", "dropped")])
def test_dead_jobs_of_other_redis_are_changed(
    run_with_one_away: Run, on_shard: On[str], command: str, done: str, every: bool
) -> None:
    job_id = on_shard(killed_two_workers)
    changed = run_with_one_away(command, "--all" if every else job_id)
    assert changed.stdout == f"1 job {done}\n"
    assert only_one_is_away(changed)
    assert "there is no job x in a Redis that answers" in run_with_one_away(command, "x").stderr


@pytest.mark.parametrize("command", ["retry", "drop"])
def test_jobs_have_to_be_named(run: Run, command: str) -> None:
    assert run(command).exit_code == 2
    assert run(command, "--all", "x").exit_code == 2


def test_a_redis_that_is_away_is_one_line() -> None:
    done = CliRunner().invoke(cli, ["jobs", "list", "--jobs", "redis://127.0.0.1:1"])
    assert done.exit_code == 1
    assert done.output.startswith("tfleet jobs: the Redis at redis://127.0.0.1:1 fails: ")
    assert done.output.count("\n") == 1
