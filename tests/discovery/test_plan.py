"""The plan of a model: its document, and what rollout, promote and rollback make of it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.discovery.plan import (
    MAX_PLAN_BYTES,
    BadPlanError,
    Canary,
    Plan,
    dump_default,
    dump_plan,
    model_of_key,
    parse_default,
    parse_plan,
    plan_key,
    plan_prefix,
    promoted,
    rolled_back,
    rolled_out,
)

_FULL = Plan("3", Canary("4", 10.0, False, 5.0), "2", {"prod": "3", "test": "4"}, "header:X-Session")


def test_a_plan_is_read_as_written() -> None:
    assert parse_plan(dump_plan(_FULL)) == _FULL


def test_the_design_s_document_is_read() -> None:
    document = (
        b'{"stable": "3", "canary": "4", "percent": 10, "previous": "2", "labels": {"prod": "3"}, '
        b'"sticky": "header:X-Session"}'
    )
    expected = Plan("3", Canary("4", 10.0), "2", {"prod": "3"}, "header:X-Session")
    assert parse_plan(document) == expected


def test_only_the_marker_ends_a_plan() -> None:
    assert parse_plan(dump_plan(None)) is None
    for document in (
        b"{}",
        b"",
        b'{"deleted": false}',
        b'{"deleted": 1}',
        b'{"deleted": true, "stable": "1"}',
        b"null",
    ):
        with pytest.raises(BadPlanError):
            parse_plan(document)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"canary": "2"}, "needs a stable version"),
        ({"stable": 3}, "stable is not a text"),
        ({"stable": "a\nb"}, "stable is not printable ASCII"),
        ({"stable": "1", "canary": "1"}, "version 1 is the stable version already"),
        ({"stable": "1", "percent": 10}, "needs a canary"),
        ({"stable": "1", "canary": "2", "percent": 101}, "percent is 101: expected a number from 0 to 100"),
        ({"stable": "1", "canary": "2", "percent": -1}, "percent is -1"),
        ({"stable": "1", "canary": "2", "percent": True}, "percent is not a number"),
        ({"stable": "1", "canary": "2", "percent": 10**400}, "percent is 101"),
        ({"stable": "1", "canary": "2", "percent": "5"}, "percent is not a number"),
        ({"stable": "1", "mirror": 5}, "needs a canary"),
        ({"stable": "1", "canary": "2", "mirror": 101}, "mirror is 101: expected a number from 0 to 100"),
        ({"stable": "1", "canary": "2", "mirror": -1}, "mirror is -1"),
        ({"stable": "1", "canary": "2", "mirror": "5"}, "mirror is not a number"),
        ({"stable": "1", "labels": ["prod"]}, "labels is not an object of texts"),
        ({"stable": "1", "labels": {"prod": ""}}, "must not be empty"),
        ({"stable": "1", "labels": {str(n): "1" for n in range(65)}}, "at most 64 labels"),
        ({"stable": "1", "sticky": "cookie"}, "expected request-id or header:NAME"),
        ({"stable": "1", "sticky": "header:"}, "expected request-id or header:NAME"),
        ({"stable": "1", "sticky": "header:a b"}, "expected request-id or header:NAME"),
        ({"stable": "1", "auto_rollback": "no"}, "auto_rollback is not true or false"),
        ({"stable": "1", "shares": {}}, "a field that this version does not know: shares"),
        ({"stable": "1", "reason": "a\nb"}, "reason is not printable ASCII"),
    ],
)
def test_a_wrong_document_is_refused(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(BadPlanError, match=reason):
        parse_plan(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "document", [b"\xff", b"[" * 100_000, b"x" * (MAX_PLAN_BYTES + 1), b'{"percent": NaN}']
)
def test_what_is_no_plan_at_all_is_refused(document: bytes) -> None:
    with pytest.raises(BadPlanError):
        parse_plan(document)


def test_a_share_that_is_no_number_is_refused() -> None:
    with pytest.raises(BadPlanError, match="percent is nan"):
        parse_plan(b'{"stable": "1", "canary": "2", "percent": NaN}')


def test_rollout_without_a_plan_keeps_what_serves() -> None:
    assert rolled_out(None, Canary("2", 10.0), stable="1") == Plan("1", Canary("2", 10.0))


def test_rollout_changes_share_and_label_of_a_plan() -> None:
    before = Plan("1", Canary("2", 10.0), reason="old")
    canary = Canary("2", 50.0)
    assert rolled_out(before, canary, stable="9", label="new") == Plan("1", canary, labels={"new": "2"})


def test_rollout_of_the_stable_version_is_refused() -> None:
    with pytest.raises(BadPlanError, match="version 1 is the stable version already"):
        rolled_out(None, Canary("1", 10.0), stable="1")


def test_promote_makes_the_canary_stable() -> None:
    assert promoted(_FULL) == replace(_FULL, stable="4", canary=None, previous="3")


def test_promote_without_a_canary_is_refused() -> None:
    with pytest.raises(BadPlanError, match="no canary to promote: version 1 gets all requests"):
        promoted(Plan("1"))


def test_rollback_takes_the_canary_out() -> None:
    reason = "20 of 40 requests failed"
    assert rolled_back(_FULL, reason) == replace(_FULL, canary=None, reason=reason)


def test_rollback_after_promote_goes_to_the_one_before() -> None:
    plan = rolled_back(promoted(_FULL))
    assert (plan.stable, plan.previous) == ("3", "4")


def test_rollback_without_any_other_version_is_refused() -> None:
    with pytest.raises(BadPlanError, match="nothing to roll back to: version 1 has no predecessor"):
        rolled_back(Plan("1"))


def test_a_second_canary_after_a_rollback_has_the_same_stable() -> None:
    plan = rolled_out(rolled_back(_FULL, "it failed"), Canary("5", 20.0), stable="9")
    assert (plan.stable, plan.canary, plan.reason) == ("3", Canary("5", 20.0), "")


_LABELS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=20)


@given(_LABELS)
def test_a_key_names_one_model(model: str) -> None:
    key = plan_key("tfleet", model)
    assert model_of_key("tfleet", key) == model
    rest = key.removeprefix(plan_prefix("tfleet"))
    assert "/" not in rest
    assert not rest.startswith("."), "a server would resolve it"


@pytest.mark.parametrize(
    "key", ["tfleet/other/models/a", "tfleet/tfleet/models/", "tfleet/tfleet/models/a/b", "tfleet/tfleet/x"]
)
def test_keys_of_others_are_no_plans(key: str) -> None:
    assert model_of_key("tfleet", key) is None


def test_the_default_model_is_read_as_written() -> None:
    assert parse_default(dump_default("m")) == "m"
    assert parse_default(dump_default("")) == ""


@pytest.mark.parametrize(
    "document", [b"", b"m", b"1", b'{"model": "m"}', b'"a\\nb"', b'"' + b"x" * 99_999 + b'"']
)
def test_a_default_that_is_no_name_is_refused(document: bytes) -> None:
    with pytest.raises(BadPlanError, match="the default model"):
        parse_default(document)
