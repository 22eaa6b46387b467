from pathlib import Path

import pytest

from tfleet.worker.model.model_path import ModelPath, ModelUrl


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("flowers/1", Path("flowers/1")),
        ("http://host/flowers", ModelUrl("http://host/flowers")),
        ("s3://bucket/flowers/1", ModelUrl("s3://bucket/flowers/1")),
        ("c:/x", Path("c:/x")),
        ("a//b", Path("a/b")),
        ("://x", Path(":/x")),
    ],
)
def test_a_scheme_makes_a_url(text: str, value: object) -> None:
    assert ModelPath()(text) == value


def test_a_url_is_shown_without_its_secrets() -> None:
    url = ModelUrl("https://user:secret@host:8443/m.keras?sig=secret#part")
    assert url.shown == "https://host:8443/m.keras"
    assert str(url) == url.url
    assert "secret" not in repr(url)
