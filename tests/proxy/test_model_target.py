"""What a path below /models names, and what a worker is asked instead of a label."""

import pytest

from tfleet.proxy.balancing.versions import ANY, Wanted
from tfleet.proxy.model_target import read_model_target, target_for


@pytest.mark.parametrize(
    ("target", "wanted"),
    [
        (b"/", ANY),
        (b"/predict", ANY),
        (b"/models", ANY),
        (b"/models/", ANY),
        (b"/modelsx/a", ANY),
        (b"/models/a", Wanted("a")),
        (b"/models/a/predict?top=1", Wanted("a")),
        (b"/models/a%2Fb%20c/predict", Wanted("a/b c")),
        (b"/models/a/versions/3", Wanted("a", version="3")),
        (b"/models/a/versions/3/signatures/s/predict", Wanted("a", version="3")),
        (b"/models/a/labels/prod/predict", Wanted("a", label="prod")),
        (b"/models/a/versions", Wanted("a")),
        (b"/models/a/versions/", Wanted("a")),
        (b"/models/a/signatures/s", Wanted("a")),
        (b"/models/%ff", Wanted("�")),
    ],
)
def test_a_path_names_a_model_and_a_version(target: bytes, wanted: Wanted) -> None:
    assert read_model_target(target).wanted == wanted


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/models/a/labels/prod", b"/models/a/versions/1%2F2"),
        (b"/models/a%20b/labels/p/predict?top=1&x=/", b"/models/a%20b/versions/1%2F2/predict?top=1&x=/"),
        (b"/models/a/labels/p/signatures/s/predict", b"/models/a/versions/1%2F2/signatures/s/predict"),
        (b"/models/a/versions/7/predict", b"/models/a/versions/7/predict"),
        (b"/models/a/predict", b"/models/a/predict"),
        (b"/predict?x=1", b"/predict?x=1"),
    ],
)
def test_a_label_becomes_the_version_for_a_worker(target: bytes, expected: bytes) -> None:
    assert target_for(read_model_target(target), target, "1/2") == expected
