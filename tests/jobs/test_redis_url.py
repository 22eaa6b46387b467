"""Addresses in --jobs, and how they are shown."""

from __future__ import annotations

import pytest

from tfleet.jobs.errors import BadJobsOptionError
from tfleet.jobs.redis_url import read_redis_urls


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("redis://localhost", ["redis://localhost:6379"]),
        ("redis://u:secret@host:1/2", ["redis://host:1/2"]),
        ("rediss://host/0, redis://[::1]:7", ["rediss://host:6379", "redis://[::1]:7"]),
        ("unix:///run/redis.sock", ["unix:///run/redis.sock"]),
    ],
)
def test_addresses_are_read(text: str, shown: list[str]) -> None:
    urls = read_redis_urls(text)
    assert [str(url) for url in urls] == shown
    assert "secret" not in repr(urls)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "begins with none of"),
        ("localhost:6379", "begins with none of"),
        ("http://u:secret@host", "begins with none of"),
        ("redis://host,", "begins with none of"),
        ("redis://", "names no host"),
        ("redis://u:secret@host:x", "can't be read"),
        ("redis://host/jobs", "by its number"),
        ("unix://", "names no socket"),
        ("redis://host,redis://host:6379/0", "named twice"),
        (",".join(f"redis://host:{port}" for port in range(1, 18)), "17 addresses"),
    ],
)
def test_other_texts_are_refused(text: str, why: str) -> None:
    with pytest.raises(BadJobsOptionError, match=why) as refused:
        read_redis_urls(text)
    assert "secret" not in str(refused.value)
