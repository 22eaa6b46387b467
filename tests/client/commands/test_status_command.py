from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.client.conftest import Command, Handler, ScriptedFleet

pytestmark = pytest.mark.process

WORKERS = (
    {
        "id": "w1",
        "address": "10.0.0.1:80",
        "model": "lite0",
        "version": "1",
        "state": "ready",
        "in_flight": 2,
    },
    {
        "id": "w2",
        "address": "10.0.0.2:80",
        "state": "ejected",
        "in_flight": 0,
        "last_error": "refused",
        "x": 1,
    },
)


def showing(fleet: ScriptedFleet, refused: object, stand_ins: object = None) -> Handler:
    """A proxy with a worker, with versions that can't be used, and with some that others stand in for."""
    body = json.dumps({"workers": [WORKERS[0]], "refused": refused, "stand_ins": stand_ins})
    return fleet.text(200, body, "application/json")


def test_status_shows_the_proxys_workers(fleet: ScriptedFleet, status: Command) -> None:
    done = status("--proxy", fleet.server(fleet.workers(*WORKERS)).address)
    heading, *rows = done.stdout.splitlines()
    assert heading.split() == ["id", "address", "model", "state", "in", "flight", "last", "error"]
    assert [row.split() for row in rows] == [
        ["w1", "10.0.0.1:80", "lite0/1", "ready", "2"],
        ["w2", "10.0.0.2:80", "ejected", "0", "refused"],
    ]
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("columns", [60, 80])
def test_status_is_readable_on_a_narrow_terminal(fleet: ScriptedFleet, status: Command, columns: int) -> None:
    error = "answered 5 times in a row with an error, the last was 500"
    row = {"id": "tfleet-127.0.0.1-41873-9f86d081", "address": "127.0.0.1:41873", "model": "lite0"}
    table = fleet.workers(row | {"version": "1", "state": "draining", "in_flight": 0, "last_error": error})
    screen = status.on_a_terminal("--proxy", fleet.server(table).url, columns=columns)
    assert [line.rstrip() for line in screen.splitlines()] == [
        "tfleet-127.0.0.1-41873-9f86d081  draining  0 in flight",
        "  127.0.0.1:41873  lite0/1",
        f"  {error}",
    ]


def test_status_shows_the_jobs_of_each_redis(fleet: ScriptedFleet, status: Command) -> None:
    full = {"redis": "redis://a:6379", "up": True, "waiting": 3, "running": 4, "dead": 1}
    idle = {"redis": "redis://b:6379", "up": True, "waiting": 0, "running": 0, "dead": 0}
    jobs = [
        full | {"oldest_waiting_s": 2.5},
        idle | {"oldest_waiting_s": 0.0},
        {"redis": "c\x1b", "up": False},
    ]
    page = fleet.text(200, json.dumps({"workers": [WORKERS[0]], "jobs": jobs}), "application/json")
    assert status("--proxy", fleet.server(page).url).stdout.splitlines()[2:] == [
        "jobs at redis://a:6379: waiting 3 (the oldest for 2.5 s), running 4, dead 1: see `tfleet jobs dead`",
        "jobs at redis://b:6379: waiting 0, running 0, dead 0",
        "jobs at c\\x1b: it does not answer the proxy",
    ]


def test_status_passes_the_document_on(fleet: ScriptedFleet, status: Command) -> None:
    done = status("--json", "--proxy", fleet.server(fleet.workers(*WORKERS)).url)
    assert json.loads(done.stdout) == {"workers": list(WORKERS)}


def test_status_shows_versions_that_can_t_be_used(fleet: ScriptedFleet, status: Command) -> None:
    refused = {
        "model": "cat",
        "version": "4",
        "reason": "\x1bcut off",
        "by": "box:/m",
        "confirmed_at": "2026",
    }
    shown = showing(fleet, [refused, refused | {"stale": True}])
    done = status("--proxy", fleet.server(shown).url)
    assert done.stdout.splitlines()[2:] == [
        r"cat/4 can't be used: \x1bcut off (tfleet up on box:/m)",
        r"cat/4 can't be used: \x1bcut off (tfleet up on box:/m, which has said nothing since 2026)",
    ]
    assert (done.returncode, done.stderr) == (0, "")


def test_status_shows_what_stands_in_for_a_version(fleet: ScriptedFleet, status: Command) -> None:
    rows = [
        {"model": "flowers", "version": "3", "percent": 90.0, "stand_in": "2"},
        {"model": "flowers", "version": "4", "percent": 10.0, "stand_in": ""},
        {"model": "cats", "version": "1", "percent": 100.0, "stand_in": None},
    ]
    done = status("--proxy", fleet.server(showing(fleet, [], rows)).url)
    assert done.stdout.splitlines()[2:] == [
        "flowers/3 gets 90 % and has no ready worker: version 2 stands in",
        "flowers/4 gets 10 % and has no ready worker: workers without a version stand in",
        "cats/1 gets 100 % and has no ready worker, and no other version has one: these requests get 503",
    ]
    many = status("--proxy", fleet.server(showing(fleet, [], rows * 10)).url)
    assert many.stdout.splitlines()[22:] == ["and 10 more without a ready worker: see --json"]


@pytest.mark.parametrize("rows", [None, "x", [1, None], []])
def test_status_reads_a_proxy_without_such_rows(fleet: ScriptedFleet, status: Command, rows: object) -> None:
    done = status("--proxy", fleet.server(showing(fleet, rows, rows)).url)
    assert (done.returncode, len(done.stdout.splitlines()), done.stderr) == (0, 2, "")


def test_status_says_that_there_are_no_workers(fleet: ScriptedFleet, status: Command) -> None:
    proxy = fleet.server(fleet.workers())
    done = status("--proxy", proxy.url)
    assert done.stdout == f"{proxy.url} knows no workers yet: start one with `tfleet worker`\n"
    assert done.returncode == 0


def test_status_names_a_proxy_that_is_not_there_and_what_to_do(status: Command, nobody: str) -> None:
    done = status("--proxy", nobody)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"cannot reach http://{nobody}: connection refused. "
        "Is the fleet up? Start one with `tfleet up`, or name its proxy with --proxy.\n"
    )


def test_status_reports_a_server_that_is_no_proxy(fleet: ScriptedFleet, status: Command) -> None:
    done = status("--proxy", fleet.server(fleet.text(404, "<html>")).url)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "/workers answered 404 Not Found (text/html), which is not what tfleet says" in done.stderr


def test_status_help_shows_an_example(status: Command) -> None:
    assert "tfleet status --proxy gpu-box:12480" in status("--help").stdout
