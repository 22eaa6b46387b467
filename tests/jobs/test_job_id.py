"""Ids say whether they were given out, without anything that is stored."""

from __future__ import annotations

import pytest

from tfleet.jobs.job_id import new_job_id, new_shard_identity, read_job_id

NOW_MS = 1_800_000_000_123


def test_an_id_is_known_by_its_shard() -> None:
    identity = new_shard_identity()
    found = read_job_id(new_job_id(identity, NOW_MS))
    assert found is not None
    assert found.is_of(identity)
    assert (found.shard, found.submitted_ms) == (identity.name, NOW_MS)


def test_another_secret_does_not_know_it() -> None:
    identity = new_shard_identity()
    found = read_job_id(new_job_id(identity, NOW_MS))
    assert found is not None
    other = new_shard_identity()
    assert not found.is_of(other)
    assert not found.is_of(type(other)(identity.name, other.secret))


def test_a_changed_id_is_not_known() -> None:
    identity = new_shard_identity()
    text = new_job_id(identity, NOW_MS)
    for at in range(5, len(text)):
        changed = text[:at] + ("a" if text[at] != "a" else "b") + text[at + 1 :]
        found = read_job_id(changed)
        assert found is not None
        assert not found.is_of(identity), at


def test_ids_differ() -> None:
    identity = new_shard_identity()
    assert len({new_job_id(identity, NOW_MS) for _ in range(1000)}) == 1000


@pytest.mark.parametrize(
    "text", ["", "1", "abcd-", "abcd-" + "A" * 32, "abcd-" + "a" * 31, "abc-" + "a" * 32, "../x"]
)
def test_other_texts_are_no_ids(text: str) -> None:
    assert read_job_id(text) is None
