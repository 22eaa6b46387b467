"""What paths below /v1 and /v2 ask for: tables of what TensorFlow Serving and Triton take, and what not."""

from __future__ import annotations

import pytest

from tfleet.proxy.balancing.versions import ANY, Wanted
from tfleet.proxy.inference_paths import (
    RequestKind,
    asks_worker,
    is_for_any_worker,
    is_inference_path,
    methods_of,
    read_inference_path,
)


def tfs(model: str, version: str | None = None, label: str | None = None) -> Wanted:
    return Wanted(model, version, label, tfs=True)


@pytest.mark.parametrize(
    ("path", "wanted", "model", "rest"),
    [
        (b"/v1/models/m:predict", tfs("m"), b"/v1/models/m", b":predict"),
        (b"/v1/models/m:classify", tfs("m"), b"/v1/models/m", b":classify"),
        (b"/v1/models/m:regress", tfs("m"), b"/v1/models/m", b":regress"),
        (b"/v1/models/m/versions/3:predict", tfs("m", "3"), b"/v1/models/m", b":predict"),
        (b"/v1/models/m/versions/007:predict", tfs("m", "007"), b"/v1/models/m", b":predict"),
        (b"/v1/models/m/labels/prod:predict", tfs("m", label="prod"), b"/v1/models/m", b":predict"),
        (b"/V1/Models/M/Labels/Prod:PREDICT", tfs("M", label="Prod"), b"/V1/Models/M", b":PREDICT"),
        (b"/v1/models/a%2Fb%3A%20c:predict", tfs("a/b: c"), b"/v1/models/a%2Fb%3A%20c", b":predict"),
        (b"/v1/models/m/labels/a%2fb:predict", tfs("m", label="a/b"), b"/v1/models/m", b":predict"),
        (b"/v2/models/m/infer", Wanted("m"), b"/v2/models/m", b"/infer"),
        (b"/v2/models/m/versions/1/infer", Wanted("m", "1"), b"/v2/models/m", b"/infer"),
        (b"/v2/models/m/versions/a%20b/infer", Wanted("m", "a b"), b"/v2/models/m", b"/infer"),
        (b"/v2/models/a:b/infer", Wanted("a:b"), b"/v2/models/a:b", b"/infer"),
        (b"/v2/models/stats/infer", Wanted("stats"), b"/v2/models/stats", b"/infer"),
    ],
)
def test_an_inference_request_is_for_a_worker(path: bytes, wanted: Wanted, model: bytes, rest: bytes) -> None:
    found = read_inference_path(b"POST", path)
    assert found is not None
    assert found[:4] == (RequestKind.WORKER, wanted, model, rest)
    assert asks_worker(b"POST", path)
    assert not asks_worker(b"DELETE", path)
    assert not asks_worker(b"GET", path)


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        (b"/v1/models/m/metadata", tfs("m")),
        (b"/v1/models/m/versions/2/METADATA", tfs("m", "2")),
        (b"/v1/models/m/labels/prod/metadata", tfs("m", label="prod")),
        (b"/v2/models/m", Wanted("m")),
        (b"/v2/models/m/versions/2", Wanted("m", "2")),
        (b"/v2/models/m/config", Wanted("m")),
        (b"/v2/models/m/versions/2/config", Wanted("m", "2")),
        (b"/v2/models/m/stats", Wanted("m")),
        (b"/v2/models/stats/stats", Wanted("stats")),
    ],
)
def test_what_one_version_knows_a_worker_says(path: bytes, wanted: Wanted) -> None:
    for method in (b"GET", b"HEAD"):
        found = read_inference_path(method, path)
        assert found is not None
        assert (found.kind, found.wanted) == (RequestKind.WORKER, wanted)
    assert methods_of(path) == ("GET", "HEAD")


@pytest.mark.parametrize(
    ("method", "path", "kind", "wanted"),
    [
        (b"GET", b"/v1/models", RequestKind.MODELS, ANY),
        (b"GET", b"/V1/MODELS", RequestKind.MODELS, ANY),
        (b"GET", b"/v1/models/m", RequestKind.STATUS, tfs("m")),
        (b"GET", b"/v1/models/m/versions/2", RequestKind.STATUS, tfs("m", "2")),
        (b"GET", b"/v1/models/m/labels/prod", RequestKind.STATUS, tfs("m", label="prod")),
        (b"GET", b"/v1/models/m/versions/metadata", RequestKind.STATUS, tfs("m", "metadata")),
        (b"GET", b"/v2", RequestKind.SERVER, ANY),
        (b"GET", b"/v2/", RequestKind.SERVER, ANY),
        (b"HEAD", b"/v2/health/live", RequestKind.LIVE, ANY),
        (b"GET", b"/v2/health/ready", RequestKind.READY, ANY),
        (b"GET", b"/v2/models/m/ready", RequestKind.MODEL_READY, Wanted("m")),
        (b"GET", b"/v2/models/m/versions/2/ready", RequestKind.MODEL_READY, Wanted("m", "2")),
        (b"GET", b"/v2/models/stats", RequestKind.ALL_STATISTICS, ANY),
        (b"POST", b"/v2/repository/index", RequestKind.INDEX, ANY),
        (b"POST", b"/v2/repository/models/a%20b/load", RequestKind.LOAD, Wanted("a b")),
        (b"POST", b"/v2/repository/models/m/unload", RequestKind.UNLOAD, Wanted("m")),
        (b"GET", b"/v2/systemsharedmemory/status", RequestKind.REGIONS, ANY),
        (b"GET", b"/v2/cudasharedmemory/region/r/status", RequestKind.REGIONS, ANY),
        (b"POST", b"/v2/cudasharedmemory/region/r/register", RequestKind.REGISTER, ANY),
        (b"POST", b"/v2/systemsharedmemory/unregister", RequestKind.UNREGISTER, ANY),
        (b"GET", b"/v2/logging", RequestKind.NOT_HERE, ANY),
        (b"POST", b"/v2/models/m/trace/setting", RequestKind.NOT_HERE, ANY),
    ],
)
def test_what_concerns_the_fleet_the_proxy_says(
    method: bytes, path: bytes, kind: RequestKind, wanted: Wanted
) -> None:
    found = read_inference_path(method, path)
    assert found is not None
    assert (found.kind, found.wanted) == (kind, wanted)
    assert not asks_worker(method, path)
    assert is_for_any_worker(method, path) == (
        kind not in {RequestKind.SERVER, RequestKind.LIVE, RequestKind.READY}
    )


@pytest.mark.parametrize(
    ("method", "path"),
    [
        (b"POST", b"/v1/models"),
        (b"POST", b"/v1/models/m"),
        (b"POST", b"/v1/models/m/metadata"),
        (b"POST", b"/v1/models/m:train"),
        (b"POST", b"/v1/models/m/predict"),
        (b"POST", b"/v1/models/m:predict/"),
        (b"POST", b"/v1/models/:predict"),
        (b"POST", b"/v1/models//versions/1:predict"),
        (b"POST", b"/v1/models/m/versions/:predict"),
        (b"POST", b"/v1/models/m/versions/1/labels/x:predict"),
        (b"POST", b"/v1/models/m/versions/1/2:predict"),
        (b"POST", b"/v1/models/m:predict:predict"),
        (b"POST", b"/v1/models/m%3Apredict"),
        (b"GET", b"/v1"),
        (b"GET", b"/v1/models/"),
        (b"GET", b"/v1/models/m/"),
        (b"GET", b"/v1/models/m:predict"),
        (b"GET", b"/v1/models/m/versions"),
        (b"GET", b"/v2/models"),
        (b"GET", b"/v2/models/"),
        (b"GET", b"/v2/models/m/"),
        (b"GET", b"/v2/models/m/versions"),
        (b"GET", b"/v2/models/m/infer"),
        (b"GET", b"/v2/models/m/versions/1/2"),
        (b"GET", b"/v2/MODELS/m"),
        (b"GET", b"/V2"),
        (b"GET", b"/v2/health"),
        (b"GET", b"/v2/repository/index"),
        (b"POST", b"/v2/models/m"),
        (b"POST", b"/v2/models/m/labels/prod/infer"),
        (b"POST", b"/v2/models/m/infer/"),
        (b"PUT", b"/v2/models/m/infer"),
        (b"POST", b"/v2/repository/models//load"),
        (b"POST", b"/predict"),
        (b"GET", b"/"),
    ],
)
def test_all_else_is_nothing_of_these_protocols(method: bytes, path: bytes) -> None:
    assert read_inference_path(method, path) is None
    assert not asks_worker(method, path)
    assert not is_for_any_worker(method, path)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        (b"POST", b"/V1/models/secret/versions/3:Predict", "/v1/models/{model}:predict"),
        (b"GET", b"/v1/models/secret/metadata", "/v1/models/{model}/metadata"),
        (b"POST", b"/v2/models/secret/versions/3/infer", "/v2/models/{model}/infer"),
        (b"GET", b"/v2/models/secret", "/v2/models/{model}"),
        (b"GET", b"/V1/Models", "/v1/{below}"),
        (b"GET", b"/v2/cudasharedmemory/region/secret/status", "/v2/{below}"),
        (b"POST", b"/v2/repository/models/secret/load", "/v2/{below}"),
    ],
)
def test_counters_have_the_path_without_names(method: bytes, path: bytes, route: str) -> None:
    found = read_inference_path(method, path)
    assert found is not None
    assert found.route == route


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (b"/v1", True),
        (b"/V1/x", True),
        (b"/v2/", True),
        (b"/v10/x", False),
        (b"/", False),
        (b"/predict", False),
    ],
)
def test_paths_of_these_protocols_are_told_apart(path: bytes, expected: bool) -> None:
    assert is_inference_path(path) is expected
