"""The registry shows which versions load or can't be used: what is written, taken over, removed and read."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tfleet.discovery.consul.key_values import StoredValue
from tfleet.discovery.plan import service_prefix
from tfleet.discovery.reported_versions import (
    MAX_REPORTED,
    KeyChange,
    ReportedVersion,
    VersionState,
    dump_report,
    read_reports,
    report_changes,
    report_key,
)

NOW_S = 1_760_000_000.0
QUARTER_S = 900.0
CAT = {("cat", "4"): "it is cut off"}
KEY = report_key(VersionState.REFUSED, "s", "cat", "4")


def stored(reason: str = "it is cut off", by: str = "here:/m", at_s: float = NOW_S) -> dict[str, StoredValue]:
    return {KEY: StoredValue(dump_report(reason, by, at_s), 7)}


def changes(
    values: dict[str, StoredValue],
    wanted: dict[tuple[str, str], str],
    by: str = "here:/m",
    state: VersionState = VersionState.REFUSED,
) -> list[KeyChange]:
    return report_changes("s", values, {state: wanted}, by=by, now_s=NOW_S)


def test_a_refused_version_is_written_and_read() -> None:
    (change,) = changes({}, CAT)
    assert (change.key, change.cas) == ("tfleet/s/refused/cat/4", 0)
    assert change.value is not None
    assert read_reports(VersionState.REFUSED, "s", {change.key: StoredValue(change.value, 1)}) == (
        ReportedVersion(VersionState.REFUSED, "cat", "4", "it is cut off", "here:/m", NOW_S),
    )


def test_what_is_shown_already_is_not_written_again() -> None:
    assert changes(stored(at_s=NOW_S - 299), CAT) == []


@pytest.mark.parametrize(
    "values", [stored(reason="another"), stored(at_s=NOW_S - 300), {KEY: StoredValue(b"?", 7)}]
)
def test_news_and_old_entries_are_written_again(values: dict[str, StoredValue]) -> None:
    assert changes(values, CAT) == [KeyChange(KEY, dump_report("it is cut off", "here:/m", NOW_S), 7)]


def test_a_version_that_works_is_removed() -> None:
    assert changes(stored(), {}) == [KeyChange(KEY, None, 7)]


def test_another_machines_entry_stays_until_it_is_stale() -> None:
    for wanted in (CAT, {}):
        assert changes(stored(by="there:/m", at_s=NOW_S - QUARTER_S), wanted) == []
    stale = stored(by="there:/m", at_s=NOW_S - QUARTER_S - 1)
    assert changes(stale, {}) == [KeyChange(KEY, None, 7)]
    assert changes(stale, CAT) == [KeyChange(KEY, dump_report("it is cut off", "here:/m", NOW_S), 7)]


def test_a_version_that_is_loading_has_another_key() -> None:
    (change,) = changes(stored(by="there:/m"), CAT, state=VersionState.LOADING)
    assert change.key == "tfleet/s/loading/cat/4"
    assert change.value is not None
    values = {change.key: StoredValue(change.value, 1)} | stored()
    (entry,) = read_reports(VersionState.LOADING, "s", values)
    assert (entry.state, entry.model, entry.version) == (VersionState.LOADING, "cat", "4")
    assert [entry.is_stale(NOW_S + age_s) for age_s in (300, 301)] == [False, True]


def test_a_loading_version_that_is_refused_changes_its_key() -> None:
    loading = report_key(VersionState.LOADING, "s", "cat", "4")
    written, removed = changes({loading: StoredValue(dump_report("r", "here:/m", NOW_S), 5)}, CAT)
    assert (written.key, removed) == (KEY, KeyChange(loading, None, 5))


def test_what_still_loads_is_confirmed_each_minute() -> None:
    key = report_key(VersionState.LOADING, "s", "cat", "4")
    for age_s, number in ((59, 0), (60, 1)):
        values = {key: StoredValue(dump_report("it is cut off", "here:/m", NOW_S - age_s), 7)}
        assert len(changes(values, CAT, state=VersionState.LOADING)) == number


def test_an_entry_of_another_format_is_left_alone() -> None:
    assert changes({KEY: StoredValue(b'{"v": 2}', 7), "tfleet/s/refused/x": StoredValue(b"", 8)}, {}) == []


def test_a_document_says_whether_it_is_stale() -> None:
    (entry,) = read_reports(VersionState.REFUSED, "s", stored())
    assert entry.document(NOW_S + QUARTER_S) == {
        "model": "cat",
        "version": "4",
        "reason": "it is cut off",
        "by": "here:/m",
        "confirmed_at": "2025-10-09T08:53:20+00:00",
        "stale": False,
    }
    assert entry.document(NOW_S + QUARTER_S + 1)["stale"] is True
    assert entry.document(NOW_S - QUARTER_S - 1)["stale"] is True, "a time to come is none"


@pytest.mark.parametrize("name", ["a/b", ".", "..", "a b", "%2F"])
def test_any_name_of_a_model_can_be_a_key(name: str) -> None:
    key = report_key(VersionState.REFUSED, "s", name, name)
    assert key.count("/") == 4
    (entry,) = read_reports(VersionState.REFUSED, "s", {key: StoredValue(dump_report("r", "b", 1), 1)})
    assert (entry.model, entry.version) == (name, name)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"[" * 4000,
        b"[]",
        b"{}",
        {"reason": 1},
        {"by": None},
        {"confirmed_at_s": "1"},
        {"confirmed_at_s": -1},
        {"confirmed_at_s": 10**400},
        {"confirmed_at_s": True},
        {"more": "x" * 4096},
    ],
)
def test_what_can_t_be_read_is_not_shown(document: bytes | dict[str, Any]) -> None:
    fields = json.loads(dump_report("r", "b", 1))
    text = document if isinstance(document, bytes) else json.dumps(fields | document).encode()
    assert read_reports(VersionState.REFUSED, "s", {KEY: StoredValue(text, 1)}) == ()


@pytest.mark.parametrize(
    "key", ["refused/cat", "refused/cat/", "refused//4", "refused/c%61t/4", "refused/a/b/c", "models/cat/4"]
)
def test_keys_of_others_are_not_shown(key: str) -> None:
    values = {service_prefix("s") + key: StoredValue(dump_report("r", "b", 1), 1)}
    assert read_reports(VersionState.REFUSED, "s", values) == ()


def test_texts_are_escaped_and_cut() -> None:
    document = {"reason": "\x1b[2J" + "r" * 999, "by": "b\n" * 400, "confirmed_at_s": 1}
    (entry,) = read_reports(VersionState.REFUSED, "s", {KEY: StoredValue(json.dumps(document).encode(), 1)})
    assert entry.reason == r"\x1b[2J" + "r" * 493
    assert entry.by == r"b\n" * 100


def test_a_long_text_is_not_written_each_time() -> None:
    wanted = {("cat", "4"): "r\n" * 999}
    (change,) = changes({}, wanted, by="b" * 999)
    assert change.value is not None
    assert changes({KEY: StoredValue(change.value, 7)}, wanted, by="b" * 999) == []


def test_only_so_many_are_written_and_shown() -> None:
    written = changes({}, {("m", str(number)): "r" for number in range(MAX_REPORTED + 1)})
    assert len(written) == MAX_REPORTED
    document = dump_report("r", "b", 1)
    many = {
        report_key(VersionState.REFUSED, "s", "m", str(n)): StoredValue(document, 1)
        for n in range(MAX_REPORTED + 1)
    }
    assert len(read_reports(VersionState.REFUSED, "s", many)) == MAX_REPORTED
