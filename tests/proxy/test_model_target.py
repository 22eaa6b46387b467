"""What a path names, and what a worker is asked instead of a label."""

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
        (b"/v1/models/a/versions/3:predict?x=1", Wanted("a", version="3", tfs=True)),
        (b"/v1/models/a/labels/prod:predict", Wanted("a", label="prod", tfs=True)),
        (b"/v2/models/a/versions/3/infer?signature=s", Wanted("a", version="3")),
        (b"/v1/models/a:train", ANY),
        (b"/v2", ANY),
    ],
)
def test_a_path_names_a_model_and_a_version(target: bytes, wanted: Wanted) -> None:
    assert read_model_target(b"POST", target).wanted == wanted


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/models/a/labels/prod", b"/models/a/versions/1%2F2"),
        (b"/models/a%20b/labels/p/predict?top=1&x=/", b"/models/a%20b/versions/1%2F2/predict?top=1&x=/"),
        (b"/models/a/labels/p/signatures/s/predict", b"/models/a/versions/1%2F2/signatures/s/predict"),
        (b"/models/a/versions/7/predict", b"/models/a/versions/7/predict"),
        (b"/models/a/predict", b"/models/a/predict"),
        (b"/predict?x=1", b"/predict?x=1"),
        (b"/v1/models/a%20b/labels/p:predict?x=/", b"/v1/models/a%20b/versions/1%2F2:predict?x=/"),
        (b"/V1/Models/a/Labels/p:Classify", b"/V1/Models/a/versions/1%2F2:Classify"),
        (b"/v1/models/a/versions/007:predict", b"/v1/models/a/versions/007:predict"),
        (b"/v2/models/a/infer?x=1", b"/v2/models/a/infer?x=1"),
    ],
)
def test_a_label_becomes_the_version_for_a_worker(target: bytes, expected: bytes) -> None:
    assert target_for(read_model_target(b"POST", target), target, "1/2") == expected


def test_counters_have_a_path_without_names() -> None:
    assert read_model_target(b"GET", b"/models/a/versions/3?x").route == "/models/{below}"
    assert read_model_target(b"POST", b"/v2/models/a/infer?x").route == "/v2/models/{model}/infer"
    assert read_model_target(b"POST", b"/predict?x").route == ""
