"""The versions that a `tfleet up --models` can't use, and those whose workers are not ready yet, in the
registry: proxies and other commands learn of them there.

Each is a JSON document in the key-value store, under `tfleet/SERVICE/refused/MODEL/VERSION` or
`tfleet/SERVICE/loading/MODEL/VERSION`:

    {"reason": "/models/cat/4/graph.pb: is cut off", "by": "gpu-box:/models", "confirmed_at_s": 1760000000}

The rules:

- `by` is the machine and the folder: a `tfleet up` that starts again takes over what the one before wrote.
- The entry of a refused version is written again every five minutes, and is stale if it was not for a quarter
  of an hour: the `tfleet up` that wrote it was probably killed. Proxies route by the entries of versions that
  are loading: these are written again every minute, and stale after five. Any other `tfleet up` of the
  service removes stale entries.
- An entry that can't be read is nobody's, and is not shown. It is never removed.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from itertools import islice
from typing import Final, TypeGuard
from urllib.parse import unquote

from tfleet.contract.identifiers import is_label
from tfleet.discovery.consul.key_values import StoredValue
from tfleet.discovery.plan import key_segment, service_prefix
from tfleet.runtime.printable import printable

MAX_REPORTED: Final = 100
"""So many of each state are written, and so many are shown."""
_MAX_BYTES: Final = 4096
_MAX_REASON_CHARS: Final = 500
_MAX_OWNER_CHARS: Final = 300
_LATEST_S: Final = 2**37
"""No date beyond it can be formatted."""


class VersionState(Enum):
    """What is said of a version. The value is the folder of its keys."""

    REFUSED = "refused"
    LOADING = "loading"

    @property
    def renew_after_s(self) -> float:
        """How old an entry is when it is written again."""
        return 60.0 if self is VersionState.LOADING else 300.0

    @property
    def stale_after_s(self) -> float:
        """How old an entry is when whoever wrote it has probably ended."""
        return 300.0 if self is VersionState.LOADING else 900.0


Reports = Mapping[VersionState, Mapping[tuple[str, str], str]]
"""The reason for each model and version, by state."""


@dataclass(frozen=True, slots=True)
class ReportedVersion:
    """A version that can't be used or is loading: why, who says so, and when that was confirmed last, in Unix
    seconds.
    """

    state: VersionState
    model: str
    version: str
    reason: str
    by: str
    confirmed_at_s: float

    def is_stale(self, now_s: float) -> bool:
        """Whether it was not confirmed for so long that whoever wrote it has probably ended."""
        return abs(now_s - self.confirmed_at_s) > self.state.stale_after_s

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


def report_key(state: VersionState, service: str, model: str, version: str) -> str:
    """The key of the entry that says this of a version."""
    return f"{service_prefix(service)}{state.value}/{key_segment(model)}/{key_segment(version)}"


def dump_report(reason: str, by: str, now_s: float) -> bytes:
    """The document. Long texts are cut."""
    fields = {
        "reason": printable(reason)[:_MAX_REASON_CHARS],
        "by": printable(by)[:_MAX_OWNER_CHARS],
        "confirmed_at_s": int(now_s),
    }
    return json.dumps(fields).encode()


def read_reports(
    state: VersionState, service: str, values: Mapping[str, StoredValue]
) -> tuple[ReportedVersion, ...]:
    """The versions of which the values of a service say this, in the order of their keys."""
    found = (_parsed(service, key, values[key].value) for key in sorted(values))
    return tuple(islice((each for each in found if each and each.state is state), MAX_REPORTED))


def report_changes(
    service: str,
    values: Mapping[str, StoredValue],
    wanted: Reports,
    *,
    by: str,
    now_s: float,
) -> list[KeyChange]:
    """What to write so that the registry shows `wanted`, and no more.

    An entry of another owner stays, unless it is stale: one line about a version is enough.
    """
    reasons = {
        report_key(state, service, *each): of_state[each]
        for state, of_state in wanted.items()
        for each in islice(of_state, MAX_REPORTED)
    }
    changes = []
    for key, reason in reasons.items():
        stored = values.get(key)
        before = None if stored is None else _parsed(service, key, stored.value)
        document = dump_report(reason, by, now_s)
        if before is None or _is_outdated(before, _parsed(service, key, document), now_s):
            changes.append(KeyChange(key, document, 0 if stored is None else stored.modify_index))
    return changes + list(_removals(service, values, reasons, by=by, now_s=now_s))


def _is_outdated(before: ReportedVersion, after: ReportedVersion | None, now_s: float) -> bool:
    if before.is_stale(now_s) or after is None:
        return True
    if before.by != after.by:
        return False
    return before.reason != after.reason or abs(now_s - before.confirmed_at_s) >= before.state.renew_after_s


def _removals(
    service: str, values: Mapping[str, StoredValue], kept: Mapping[str, str], *, by: str, now_s: float
) -> Iterable[KeyChange]:
    owner = printable(by)[:_MAX_OWNER_CHARS]
    for key, stored in values.items():
        entry = None if key in kept else _parsed(service, key, stored.value)
        if entry is not None and (entry.by == owner or entry.is_stale(now_s)):
            yield KeyChange(key, None, stored.modify_index)


def _parsed(service: str, key: str, document: bytes) -> ReportedVersion | None:
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
    return ReportedVersion(*name, *texts, float(at_s))


def _name_of(service: str, key: str) -> tuple[VersionState, str, str] | None:
    """What a key says of which model and version."""
    prefix = service_prefix(service)
    folder, _, name = key[len(prefix) :].partition("/") if key.startswith(prefix) else ("", "", "")
    state = next((each for each in VersionState if each.value == folder), None)
    model, _, version = (unquote(each) for each in name.partition("/"))
    if state is None or not (model and version and is_label(model) and is_label(version)):
        return None
    return (state, model, version) if report_key(state, service, model, version) == key else None


def _is_time(value: object) -> TypeGuard[float]:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 <= value <= _LATEST_S and math.isfinite(value)
