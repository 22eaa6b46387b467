from __future__ import annotations

import pytest

from tfleet.bulk.spark.image_files import local_name


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("/photos/a%20b.jpg", "/photos/a%20b.jpg"),
        ("file:/photos/100%20 b.jpg", "/photos/100%20 b.jpg"),
        ("file:///photos/a%20b+c.jpg", "/photos/a b+c.jpg"),
        ("photos/a.jpg", "photos/a.jpg"),
        ("s3://bucket/a%20b.jpg", "s3://bucket/a%20b.jpg"),
    ],
)
def test_uris_of_files_become_paths(name: str, path: str) -> None:
    assert local_name(name) == path
