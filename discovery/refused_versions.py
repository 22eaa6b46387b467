"""The versions that a `tfleet up --models` can't use, in the registry, so that other commands can show them.

Each is a JSON document in the key-value store, under `tfleet/SERVICE/refused/MODEL/VERSION`:

    {"reason": "/models/cat/4/graph.pb: is cut off", "by": "gpu-box:/models", "confirmed_at_s": 1760000000}

The rules:

- `by` is the machine and the folder: a `tfleet up` that starts again takes over what the one before wrote.
- The entry is written again every five minutes. One that was not for a quarter of an hour is stale: the
  `tfleet up` that wrote it was probably killed. Any other one of the service removes it.
- An entry that can't be read is nobody's, and is not shown. It is never removed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from typing import Final, TypeGuard
from urllib.parse import unquote

from tfleet.contract.identifiers import is_label
from tfleet.discovery.consul.key_values import StoredValue
from tfleet.discovery.plan import key_segment, service_prefix
from tfleet.runtime.printable import printable

MAX_REFUSED: Final = 100
"""So many are written, and so many are shown."""
RENEW_AFTER_S: Final = 300.0
_STALE_AFTER_S: Final = 900.0
_MAX_BYTES: Final = 4096
_MAX_REASON_CHARS: Final = 500
_MAX_OWNER_CHARS: Final = 300
_LATEST_S: Final = 2**37
"""No date beyond it can be formatted."""


@dataclass(frozen=True, slots=True)
class RefusedVersion:
    """A version that can't be used: why, who says so, and when that was confirmed last, in Unix seconds."""

    model: str
    version: str
    reason: str
    by: str
    confirmed_at_s: float

    def is_stale(self, now_s: float) -> bool:
        """Whether it was not confirmed for so long that whoever wrote it has probably ended."""
        return abs(now_s - self.confirmed_at_s) > _STALE_AFTER_S

    def document(self, now_s: float) -> dict[str, object]:
        """The version as JSON documents of commands and of the proxy show it."""
        return {
            "model": self.model,
            "version": self.version,
            "reason": self.reason,
            "by": self.by,
            "confirmed_at": datetime.fromtimestamp(self.confirmed_at_s, UTC).isoformat(timespec="seconds"),
            "stale": self.is_stale(now_s),
        }


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A write of a key whose modify index is `cas`, or its removal without a `value`."""

    key: str
    value: bytes | None
    cas: int


def refused_prefix(service: str) -> str:
    """The prefix of the keys of a service's refused versions."""
    return f"{service_prefix(service)}refused/"


def refused_key(service: str, model: str, version: str) -> str:
    """The key of one of them."""
    return f"{refused_prefix(service)}{key_segment(model)}/{key_segment(version)}"


def dump_refused(reason: str, by: str, now_s: float) -> bytes:
    """The document. Long texts are cut."""
    fields = {
        "reason": printable(reason)[:_MAX_REASON_CHARS],
        "by": printable(by)[:_MAX_OWNER_CHARS],
        "confirmed_at_s": int(now_s),
    }
    return json.dumps(fields).encode()


def read_refused(service: str, values: Mapping[str, StoredValue]) -> tuple[RefusedVersion, ...]:
    """The refused versions among the values of a service, in the order of their keys."""
    found = (_parsed(service, key, values[key].value) for key in sorted(values))
    return tuple(islice(filter(None, found), MAX_REFUSED))


def refused_changes(
    service: str,
    values: Mapping[str, StoredValue],
    wanted: Mapping[tuple[str, str], str],
    *,
    by: str,
    now_s: float,
) -> list[KeyChange]:
    """What to write so that the registry shows `wanted`, the reason for each model and version, and no more.

    An entry of another owner stays, unless it is stale: one line about a version is enough.
    """
    reasons = {refused_key(service, *each): wanted[each] for each in islice(wanted, MAX_REFUSED)}
    changes = []
    for key, reason in reasons.items():
        stored = values.get(key)
        before = None if stored is None else _parsed(service, key, stored.value)
        document = dump_refused(reason, by, now_s)
        if before is None or _is_outdated(before, _parsed(service, key, document), now_s):
            changes.append(KeyChange(key, document, 0 if stored is None else stored.modify_index))
    return changes + list(_removals(service, values, reasons, by=by, now_s=now_s))


def _is_outdated(before: RefusedVersion, after: RefusedVersion | None, now_s: float) -> bool:
    if before.is_stale(now_s) or after is None:
        return True
    if before.by != after.by:
        return False
    return before.reason != after.reason or abs(now_s - before.confirmed_at_s) >= RENEW_AFTER_S


def _removals(
    service: str, values: Mapping[str, StoredValue], kept: Mapping[str, str], *, by: str, now_s: float
) -> Iterable[KeyChange]:
    owner = printable(by)[:_MAX_OWNER_CHARS]
    for key, stored in values.items():
        entry = None if key in kept else _parsed(service, key, stored.value)
        if entry is not None and (entry.by == owner or entry.is_stale(now_s)):
            yield KeyChange(key, None, stored.modify_index)


def _parsed(service: str, key: str, document: bytes) -> RefusedVersion | None:
    """The entry, or None for a key of somebody else, and for a document that can't be read."""
    name = _name_of(service, key)
    if name is None or len(document) > _MAX_BYTES:
        return None
    try:
        fields = json.loads(document)
    except (ValueError, RecursionError):
        fields = None
    found = fields if isinstance(fields, dict) else {}
    reason, by, at_s = (found.get(name) for name in ("reason", "by", "confirmed_at_s"))
    if not (isinstance(reason, str) and isinstance(by, str) and _is_time(at_s)):
        return None
    texts = printable(reason)[:_MAX_REASON_CHARS], printable(by)[:_MAX_OWNER_CHARS]
    return RefusedVersion(*name, *texts, float(at_s))


def _name_of(service: str, key: str) -> tuple[str, str] | None:
    """The model and the version that a key is about."""
    prefix = refused_prefix(service)
    if not key.startswith(prefix):
        return None
    model, _, version = (unquote(each) for each in key[len(prefix) :].partition("/"))
    if not (model and version and is_label(model) and is_label(version)):
        return None
    return (model, version) if refused_key(service, model, version) == key else None


def _is_time(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= _LATEST_S and math.isfinite(value)
