"""What the fleet relies on in a registry, be it the embedded one or a real Consul: the key-value store.

Each test has a prefix of its own, so that they share one server each.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import time
import urllib.error
from collections.abc import Awaitable, Callable

import consul
import consul.aio
import pytest

from tests.discovery.consul_api.calls import DEADLINE_S, call
from tests.support.consul_agent import consul_binary
from tfleet.contract.address import Address

_BIG = 2**64 - 1


def test_a_key_is_read_as_written(client: consul.Consul, name: str) -> None:
    value = bytes(range(256))
    assert client.kv.put(f"{name}/a b/é", value, flags=_BIG) is True
    index, entry = client.kv.get(f"{name}/a b/é")
    assert (entry["Key"], entry["Value"], entry["Flags"]) == (f"{name}/a b/é", value, _BIG)
    assert entry["LockIndex"] == 0
    assert entry["CreateIndex"] == entry["ModifyIndex"] == int(index)


def test_an_empty_value_is_null(server: Address, client: consul.Consul, name: str) -> None:
    assert client.kv.put(name, "") is True
    (entry,) = json.loads(call(server, "GET", f"/v1/kv/{name}")[1])
    assert entry["Value"] is None


def test_raw_is_the_value_alone(server: Address, client: consul.Consul, name: str) -> None:
    client.kv.put(name, "as it is")
    assert call(server, "GET", f"/v1/kv/{name}?raw") == (200, "as it is")


def test_an_unknown_key_is_404_without_a_body(server: Address, name: str) -> None:
    assert call(server, "GET", f"/v1/kv/{name}") == (404, "")
    assert call(server, "GET", f"/v1/kv/{name}?recurse") == (404, "")
    assert call(server, "GET", f"/v1/kv/{name}?keys") == (404, "")


def test_recurse_reads_all_below_a_prefix_in_order(client: consul.Consul, name: str) -> None:
    for key in ("b", "a/2", "a/1", "c"):
        client.kv.put(f"{name}/{key}", key)
    client.kv.put(f"{name}-other", "x")
    _, entries = client.kv.get(f"{name}/", recurse=True)
    assert [entry["Key"] for entry in entries] == [f"{name}/{key}" for key in ("a/1", "a/2", "b", "c")]


def test_keys_are_cut_at_the_separator(client: consul.Consul, name: str) -> None:
    for key in ("a/1", "a/2", "b", "c/d/e"):
        client.kv.put(f"{name}/{key}", key)
    _, keys = client.kv.get(f"{name}/", keys=True, separator="/")
    assert keys == [f"{name}/a/", f"{name}/b", f"{name}/c/"]
    _, keys = client.kv.get(f"{name}/", keys=True)
    assert keys == [f"{name}/{key}" for key in ("a/1", "a/2", "b", "c/d/e")]


def test_cas_0_writes_only_a_new_key(client: consul.Consul, name: str) -> None:
    assert client.kv.put(name, "first", cas=0) is True
    assert client.kv.put(name, "second", cas=0) is False
    assert client.kv.get(name)[1]["Value"] == b"first"


def test_cas_writes_only_what_was_read(client: consul.Consul, name: str) -> None:
    assert client.kv.put(name, "x", cas=99) is False, "there is no such key"
    client.kv.put(name, "one")
    seen = client.kv.get(name)[1]["ModifyIndex"]
    assert client.kv.put(name, "two", cas=seen) is True
    assert client.kv.put(name, "three", cas=seen) is False
    entry = client.kv.get(name)[1]
    assert entry["Value"] == b"two"
    assert entry["ModifyIndex"] > entry["CreateIndex"] == seen


def test_of_writers_with_one_index_one_wins(server: Address, client: consul.Consul, name: str) -> None:
    client.kv.put(name, "start")
    seen = client.kv.get(name)[1]["ModifyIndex"]
    path = f"/v1/kv/{name}?cas={seen}"
    answers = [call(server, "PUT", path, f"{n}".encode())[1].strip() for n in range(5)]
    assert answers.count("true") == 1


def test_the_same_value_again_is_no_change(client: consul.Consul, name: str) -> None:
    client.kv.put(name, "same")
    before = client.kv.get(name)
    assert client.kv.put(name, "same") is True
    assert client.kv.get(name) == before


def test_a_deleted_key_is_gone(client: consul.Consul, name: str) -> None:
    client.kv.put(name, "x")
    assert client.kv.delete(name) is True
    assert client.kv.get(name)[1] is None
    assert client.kv.delete(name) is True, "a key that does not exist is no error"


def test_delete_with_cas_deletes_only_what_was_read(client: consul.Consul, name: str) -> None:
    client.kv.put(name, "x")
    seen = client.kv.get(name)[1]["ModifyIndex"]
    assert client.kv.delete(name, cas=seen - 1) is False
    assert client.kv.delete(name, cas=0) is False
    assert client.kv.delete(name, cas=seen) is True
    assert client.kv.get(name)[1] is None


def test_delete_of_a_prefix_deletes_all_below(client: consul.Consul, name: str) -> None:
    for key in (f"{name}/a", f"{name}/b/c", f"{name}-kept"):
        client.kv.put(key, "x")
    assert client.kv.delete(f"{name}/", recurse=True) is True
    assert client.kv.get(f"{name}/", recurse=True)[1] is None
    assert client.kv.get(f"{name}-kept")[1]["Value"] == b"x"


Change = Callable[[consul.aio.Consul, str], Awaitable[object]]


async def _put_another(client: consul.aio.Consul, name: str) -> None:
    await client.kv.put(f"{name}/new", "x")


async def _change(client: consul.aio.Consul, name: str) -> None:
    await client.kv.put(f"{name}/a", "changed")


async def _delete(client: consul.aio.Consul, name: str) -> None:
    await client.kv.delete(f"{name}/a")


@pytest.mark.parametrize("change", [_put_another, _change, _delete])
async def test_a_query_on_a_prefix_wakes(aclient: consul.aio.Consul, name: str, change: Change) -> None:
    await aclient.kv.put(f"{name}/a", "x")
    index, before = await aclient.kv.get(f"{name}/", recurse=True)
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(aclient.kv.get(f"{name}/", index=int(index), wait="1m", recurse=True))
        await change(aclient, name)
    new_index, after = waiting.result()
    assert int(new_index) > int(index)
    assert after != before


@pytest.mark.parametrize("change", [_change, _delete])
async def test_a_query_on_a_key_wakes(aclient: consul.aio.Consul, name: str, change: Change) -> None:
    await aclient.kv.put(f"{name}/a", "x")
    index, before = await aclient.kv.get(f"{name}/a")
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(aclient.kv.get(f"{name}/a", index=int(index), wait="1m"))
        await change(aclient, name)
    new_index, after = waiting.result()
    assert int(new_index) > int(index)
    assert after != before


async def test_a_query_on_an_absent_key_wakes_when_it_comes(aclient: consul.aio.Consul, name: str) -> None:
    index, nothing = await aclient.kv.get(f"{name}/a")
    assert nothing is None
    async with asyncio.timeout(DEADLINE_S), asyncio.TaskGroup() as group:
        waiting = group.create_task(aclient.kv.get(f"{name}/a", index=int(index), wait="1m"))
        await aclient.kv.put(f"{name}/a", "here")
    assert waiting.result()[1]["Value"] == b"here"


def test_a_query_on_a_key_does_not_wake_for_others(client: consul.Consul, name: str) -> None:
    client.kv.put(f"{name}/a", "x")
    index, before = client.kv.get(f"{name}/a")
    client.kv.put(f"{name}/b", "x")
    started = time.monotonic()
    assert client.kv.get(f"{name}/a", index=int(index), wait="300ms") == (index, before)
    assert time.monotonic() - started >= 0.3


def test_the_index_of_a_prefix_never_falls(client: consul.Consul, name: str) -> None:
    changes: list[Callable[[], object]] = [
        lambda: client.kv.put(f"{name}/a", "1"),
        lambda: client.kv.put(f"{name}/b", "1"),
        lambda: client.kv.delete(f"{name}/b"),
        lambda: client.kv.put(f"{name}/b", "2", cas=0),
        lambda: client.kv.delete(f"{name}/", recurse=True),
        lambda: client.kv.put(f"{name}/a", "1"),
    ]
    seen = [int(client.kv.get(f"{name}/", recurse=True)[0])]
    for change in changes:
        change()
        seen.append(int(client.kv.get(f"{name}/", recurse=True)[0]))
    assert seen == sorted(seen)
    assert len(set(seen[1:])) == len(changes), "each change has an index of its own"


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        ("GET", "/v1/kv/", (400, "Missing key name")),
        ("PUT", "/v1/kv/", (400, "Missing key name")),
        ("DELETE", "/v1/kv/", (400, "Missing key name")),
        ("PUT", "/v1/kv/k?cas=abc", (500, 'strconv.ParseUint: parsing "abc": invalid syntax')),
        ("PUT", "/v1/kv/k?cas=", (500, 'strconv.ParseUint: parsing "": invalid syntax')),
        ("PUT", "/v1/kv/k?flags=-1", (500, 'strconv.ParseUint: parsing "-1": invalid syntax')),
        ("DELETE", "/v1/kv/k?cas=x", (500, 'strconv.ParseUint: parsing "x": invalid syntax')),
        (
            "PUT",
            "/v1/kv/k?flags=18446744073709551616",
            (500, 'strconv.ParseUint: parsing "18446744073709551616": value out of range'),
        ),
        ("DELETE", "/v1/kv/k?recurse&cas=3", (400, "Conflicting flags: recurse&cas=3")),
        ("GET", "/v1/kv/k?wait=3", (400, "Invalid wait time")),
        ("GET", "/v1/kv/k?index=a", (400, "Invalid index")),
        ("GET", "/v1/kv/k?dc=elsewhere", (500, "No path to datacenter")),
        ("POST", "/v1/kv/k", (405, "method POST not allowed")),
    ],
)
def test_a_wrong_request_is_refused(
    server: Address, method: str, path: str, expected: tuple[int, str]
) -> None:
    status, text = call(server, method, path)
    # A real Consul writes an option without a value as `recurse=`, and sorts them.
    assert (status, text.replace("cas=3&recurse=", "recurse&cas=3")) == expected


def test_a_value_over_the_limit_is_refused(server: Address, name: str) -> None:
    # A server that refuses by the length alone reads no body: then the client may not come to see the answer.
    with contextlib.suppress(urllib.error.URLError, ConnectionError):
        status, text = call(server, "PUT", f"/v1/kv/{name}", b"x" * 600_000)
        assert (status, "max size" in text) == (413, True)
    assert call(server, "GET", f"/v1/kv/{name}")[0] == 404


def test_consuls_own_command_line_works(server: Address, name: str) -> None:
    def kv(*words: str) -> str:
        run = subprocess.run(
            [consul_binary(), "kv", words[0], f"-http-addr={server}", *words[1:]],
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=True,
            env={key: value for key, value in os.environ.items() if not key.startswith("CONSUL_")},
        )
        return run.stdout

    kv("put", f"{name}/a", "one")
    assert kv("get", f"{name}/a") == "one\n"
    assert kv("get", "-recurse", f"{name}/") == f"{name}/a:one\n"
    kv("delete", "-recurse", f"{name}/")
    assert kv("get", "-keys", "") == "" or name not in kv("get", "-keys", "")
