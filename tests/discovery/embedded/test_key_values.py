"""The limits of the embedded registry's key-value store; what it shares with Consul is in consul_api."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.discovery.embedded.calls import call
from tests.support.embedded_registry import embedded_registry
from tfleet.discovery.embedded.errors import FullError, RefusedRequestError
from tfleet.discovery.embedded.key_values import KeyValues
from tfleet.discovery.embedded.limits import KeyValueLimits

_LIMITS = KeyValueLimits(keys=2, key_chars=8, total_bytes=10)


def _with(store: KeyValues, key: str, value: bytes) -> KeyValues:
    after = store.put(key, value, limits=_LIMITS)
    assert after is not None
    return after


def test_there_are_only_so_many_keys() -> None:
    full = _with(_with(KeyValues(1), "a", b""), "b", b"")
    with pytest.raises(FullError, match="it holds 2 keys"):
        full.put("c", b"", limits=_LIMITS)
    assert _with(full, "a", b"changed").entries["a"].value == b"changed", "a key that exists has its place"


def test_all_values_together_have_a_limit() -> None:
    store = _with(KeyValues(1), "a", b"x" * 10)
    with pytest.raises(FullError, match="10 bytes together"):
        store.put("b", b"x", limits=_LIMITS)
    assert _with(store, "a", b"y" * 10).entries["a"].value == b"y" * 10, "the old value makes room"


def test_a_long_key_is_refused() -> None:
    with pytest.raises(RefusedRequestError, match="limit: 8 characters"):
        KeyValues(1).put("k" * 9, b"", limits=_LIMITS)


@pytest.mark.parametrize("option", ["acquire", "release"])
def test_locks_are_refused(option: str) -> None:
    with embedded_registry() as registry:
        status, text = call(registry, "PUT", f"/v1/kv/k?{option}=x", {}, "value")
        assert (status, text) == (400, f"?{option} is not supported by the embedded registry")
        assert call(registry, "GET", "/v1/kv/k", {})[0] == 404


_KEYS = st.sampled_from(["a", "a/b", "a/c", "b"])
_CHANGES = st.one_of(
    st.tuples(st.just("put"), _KEYS, st.binary(max_size=1)),
    st.tuples(st.just("delete"), _KEYS, st.just(b"")),
    st.tuples(st.just("delete_below"), _KEYS, st.just(b"")),
)


@given(st.lists(_CHANGES, max_size=20))
def test_it_keeps_what_a_dict_keeps(changes: list[tuple[str, str, bytes]]) -> None:
    store, wanted = KeyValues(7), dict[str, bytes]()
    for change, key, value in changes:
        before, had = store, dict(wanted)
        if change == "put":
            store, wanted[key] = store.put(key, value) or before, value
        elif change == "delete":
            store = store.delete(key) or before
            wanted.pop(key, None)
        else:
            store = store.delete_below(key)
            wanted = {one: held for one, held in wanted.items() if not one.startswith(key)}
        assert {one: entry.value for one, entry in store.entries.items()} == wanted
        # A change has a new index for all who read it, and what is no change has none.
        assert (store.index > before.index) == (wanted != had)
        for prefix in ("", "a", "a/"):
            assert store.prefix_index(prefix) >= before.prefix_index(prefix)
            if [one.value for one in before.below(prefix)] != [one.value for one in store.below(prefix)]:
                assert store.prefix_index(prefix) > before.prefix_index(prefix)
