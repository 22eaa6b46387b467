"""The client of the key-value store, against both registries and against servers that are neither."""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator

import pytest

from tests.support.canned_server import canned, http, nobody
from tfleet.contract.address import Address
from tfleet.discovery.consul.key_values import ConsulKeyValues, StoredValue
from tfleet.discovery.errors import RegistryError, RegistryRefusedError, RegistryUnavailableError

WAIT_S = 20.0


@pytest.fixture
def prefix() -> str:
    return f"tfleet/{uuid.uuid4().hex[:8]}/models/"


@pytest.fixture
async def store(server: Address) -> AsyncIterator[ConsulKeyValues]:
    store = ConsulKeyValues(server, wait_s=WAIT_S)
    yield store
    await store.close()


async def test_nothing_is_below_a_new_prefix(store: ConsulKeyValues, prefix: str) -> None:
    answer = await store.below(prefix, 0, WAIT_S)
    assert answer.values == {}
    assert answer.index >= 1


@pytest.mark.parametrize("name", ["a", "a b", "a%2Fb", "%2E.", "é?&#", "a+b"])
async def test_values_are_read_as_written(store: ConsulKeyValues, prefix: str, name: str) -> None:
    value = bytes(range(256))
    assert await store.put(prefix + name, value, cas=0)
    answer = await store.below(prefix, 0, WAIT_S)
    assert answer.values == {prefix + name: StoredValue(value, answer.index)}


async def test_an_empty_value_is_read(store: ConsulKeyValues, prefix: str) -> None:
    assert await store.put(f"{prefix}a", b"", cas=0)
    assert (await store.below(prefix, 0, WAIT_S)).values[f"{prefix}a"].value == b""


async def test_a_write_needs_the_index_that_was_read(store: ConsulKeyValues, prefix: str) -> None:
    key = f"{prefix}a"
    assert await store.put(key, b"one", cas=0)
    assert not await store.put(key, b"two", cas=0)
    seen = (await store.below(prefix, 0, WAIT_S)).values[key].modify_index
    assert await store.put(key, b"two", cas=seen)
    assert not await store.put(key, b"three", cas=seen)
    assert (await store.below(prefix, 0, WAIT_S)).values[key].value == b"two"


async def test_a_removal_needs_the_index_that_was_read(store: ConsulKeyValues, prefix: str) -> None:
    key = f"{prefix}a b"
    assert await store.put(key, b"one", cas=0)
    seen = (await store.below(prefix, 0, WAIT_S)).values[key].modify_index
    assert not await store.delete(key, cas=seen - 1)
    assert await store.delete(key, cas=seen)
    assert (await store.below(prefix, 0, WAIT_S)).values == {}


async def test_a_read_with_an_index_waits_for_news(store: ConsulKeyValues, prefix: str) -> None:
    before = await store.below(prefix, 0, WAIT_S)
    waiting = asyncio.ensure_future(store.below(prefix, before.index, WAIT_S))
    await store.put(f"{prefix}a", b"new", cas=0)
    after = await waiting
    while not after.values:  # a registry may wake for other keys
        after = await store.below(prefix, after.index, WAIT_S)
    assert after.values[f"{prefix}a"].value == b"new"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"{}",
        b"[1]",
        b'[{"Key": 1}]',
        b'[{"Key": "a", "Value": "?", "ModifyIndex": 1}]',
        b"[" * 99_999,
    ],
)
async def test_an_answer_that_is_no_consul_s_is_an_error(body: bytes) -> None:
    with canned(http("200 OK", body, "X-Consul-Index: 7")) as address:
        store = ConsulKeyValues(address, wait_s=1)
        try:
            with pytest.raises(RegistryUnavailableError, match="does not answer as Consul does"):
                await store.below("p", 0, 1)
        finally:
            await store.close()


async def failure_of(address: Address) -> RegistryError:
    store = ConsulKeyValues(address, wait_s=1)
    try:
        with pytest.raises(RegistryError) as caught:
            await store.put("tfleet/fleet/models/m", b"v", cas=0)
        return caught.value
    finally:
        await store.close()


async def test_nobody_at_the_address_is_unavailable() -> None:
    error = await failure_of(nobody())
    assert isinstance(error, RegistryUnavailableError)
    assert "does not answer" in str(error)


async def test_a_denied_write_says_which_rule_is_missing() -> None:
    with canned(http("403 Forbidden", b"Permission denied")) as address:
        error = await failure_of(address)
    assert isinstance(error, RegistryRefusedError)
    assert 'a token with key_prefix "tfleet/fleet/" { policy = "write" }' in str(error)


async def test_true_alone_is_a_successful_write() -> None:
    for said, expected in ((True, True), (False, False), ("true", False), (1, False)):
        with canned(http("200 OK", json.dumps(said).encode())) as address:
            store = ConsulKeyValues(address, wait_s=1)
            try:
                assert await store.put("k", b"v", cas=0) is expected
            finally:
                await store.close()
