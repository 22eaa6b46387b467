"""The key-value store's data and its indexes. Pure: no I/O, no clock, no locks; a change makes a new value.

The rules, as in Consul 1.8.7:

- A key that exists has the index of its own last change. One that doesn't has that of the last change of any
  key, so that a blocking query on it needs no state for it.
- Keys below a prefix have the highest index among them, or that of the last deletion of any key if it is
  higher. (Consul remembers which prefix the deleted key had, so its blocking queries wake less often.)
- Writing what a key already has is no change: it wakes no blocking query.
- `cas` 0 writes only a key that does not exist, any other `cas` only a key with this modify index. A delete
  with `cas` of a key that does not exist succeeds; with `cas` 0 it never deletes a key that exists.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tfleet.discovery.embedded.errors import FullError, RefusedRequestError
from tfleet.discovery.embedded.limits import KeyValueLimits

_NO_LIMITS: Final = KeyValueLimits()


@dataclass(frozen=True, slots=True)
class KeyValue:
    """One key. `flags` is a number of 64 bits that means something only to clients."""

    key: str
    value: bytes
    flags: int
    create_index: int
    modify_index: int


@dataclass(frozen=True, slots=True)
class KeyValues:
    """All keys at one moment, the index of the last change, and that of the last deletion."""

    index: int
    entries: Mapping[str, KeyValue] = field(default_factory=dict)
    deleted_index: int = 0

    def __repr__(self) -> str:
        return f"<KeyValues keys={len(self.entries)} index={self.index}>"

    def get(self, key: str) -> KeyValue | None:
        """The key, or None."""
        return self.entries.get(key)

    def key_index(self, key: str) -> int:
        """The index for a read of one key."""
        entry = self.entries.get(key)
        return self.index if entry is None else entry.modify_index

    def below(self, prefix: str) -> tuple[KeyValue, ...]:
        """The keys that begin with the prefix, in order."""
        return tuple(self.entries[key] for key in sorted(self.entries) if key.startswith(prefix))

    def prefix_index(self, prefix: str) -> int:
        """The index for a read of all keys that begin with the prefix."""
        found = [entry.modify_index for key, entry in self.entries.items() if key.startswith(prefix)]
        return max(*found, self.deleted_index) if found else self.index

    def put(
        self,
        key: str,
        value: bytes,
        *,
        flags: int = 0,
        cas: int | None = None,
        limits: KeyValueLimits = _NO_LIMITS,
    ) -> KeyValues | None:
        """The store after the write; itself if nothing changes; None if `cas` does not fit.

        Raises RefusedRequestError for a key or value that is too long, FullError if there is no room.
        """
        before = self.entries.get(key)
        if not _fits(before, cas):
            return None
        if before is not None and (before.value, before.flags) == (value, flags):
            return self
        self._check_room(key, value, before, limits)
        index = self.index + 1
        entry = KeyValue(key, value, flags, index if before is None else before.create_index, index)
        return replace(self, index=index, entries={**self.entries, key: entry})

    def delete(self, key: str, *, cas: int | None = None) -> KeyValues | None:
        """The store without the key; itself if it has none; None if `cas` does not fit."""
        before = self.entries.get(key)
        if before is None:
            return self
        if cas is not None and cas != before.modify_index:
            return None
        return self._without({key})

    def delete_below(self, prefix: str) -> KeyValues:
        """The store without the keys that begin with the prefix; itself if there are none."""
        keys = {key for key in self.entries if key.startswith(prefix)}
        return self._without(keys) if keys else self

    def _without(self, keys: set[str]) -> KeyValues:
        index = self.index + 1
        left = {key: entry for key, entry in self.entries.items() if key not in keys}
        return KeyValues(index, left, deleted_index=index)

    def _check_room(self, key: str, value: bytes, before: KeyValue | None, limits: KeyValueLimits) -> None:
        if len(key) > limits.key_chars:
            raise RefusedRequestError(f"Key is too long (limit: {limits.key_chars} characters)")
        if before is None and len(self.entries) >= limits.keys:
            raise FullError(f"the registry is full: it holds {limits.keys} keys")
        held_bytes = sum(len(entry.value) for entry in self.entries.values())
        if held_bytes - (len(before.value) if before else 0) + len(value) > limits.total_bytes:
            raise FullError(f"the registry is full: its keys may hold {limits.total_bytes} bytes together")


def _fits(before: KeyValue | None, cas: int | None) -> bool:
    if cas is None:
        return True
    return before is None if cas == 0 else before is not None and before.modify_index == cas
