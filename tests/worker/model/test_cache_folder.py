from pathlib import Path

import pytest

from tfleet.worker.model.cache_folder import cache_folder


@pytest.mark.parametrize(
    ("variable", "expected"),
    [
        ("/var/caches", "/var/caches/tfleet/x"),
        ("", "/home/u/.cache/tfleet/x"),
        ("rel", "/home/u/.cache/tfleet/x"),
    ],
)
def test_the_cache_is_where_xdg_says(monkeypatch: pytest.MonkeyPatch, variable: str, expected: str) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", variable)
    monkeypatch.setenv("HOME", "/home/u")
    assert cache_folder("x") == Path(expected)
