"""What a path of TensorFlow Serving's REST API asks for, and what is none."""

import pytest

from tfleet.contract.tfs_paths import is_tfs_path, read_tfs_path, refused_request


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("POST", "/v1/models/m:predict", ("predict", "m")),
        ("POST", "/v1/models/m:classify", ("classify", "m")),
        ("POST", "/V1/Models/M:Regress", ("regress", "M")),
        ("POST", "/v1/models/m/versions/1:predict", ("predict", "m", "1")),
        ("POST", "/v1/models/m/versions/v1.2:predict", ("predict", "m", "v1.2")),
        ("POST", "/v1/models/m/labels/stable:predict", ("predict", "m", None, "stable")),
        ("POST", "/v1/models/a%2Fb:predict", ("predict", "a%2Fb")),
        (
            *("POST", "/v1/models/m%21%3A%5B%5D/labels/l%21%3A%5D:predict"),
            ("predict", "m%21%3A%5B%5D", None, "l%21%3A%5D"),
        ),
        ("GET", "/v1/models/m/labels/l%2F/metadata", ("metadata", "m", None, "l%2F")),
        ("GET", "/v1/models/m", ("status", "m")),
        ("HEAD", "/v1/models/m", ("status", "m")),
        ("GET", "/v1/models/m/versions/1", ("status", "m", "1")),
        ("GET", "/v1/models/m/labels/canary", ("status", "m", None, "canary")),
        ("GET", "/v1/models/m/metadata", ("metadata", "m")),
        ("GET", "/v1/models/m/versions/1/METADATA", ("metadata", "m", "1")),
        ("GET", "/v1/models", ("models", "")),
        ("GET", "/v1/models/m:predict", None),
        ("GET", "/v1/models/m/version/50:predict", None),
        ("POST", "/v1/models/m/version/50:regress", None),
        ("POST", "/v1/models", None),
        ("GET", "/v1/foo", None),
        ("POST", "/v1/foo", None),
        ("POST", "/v1/models/m", None),
        ("POST", "/v1/models/m/metadata", None),
        ("POST", "/v1/models/m:explain", None),
        ("POST", "/v1/models/:predict", None),
        ("POST", "/v1/models/m:predict/", None),
        ("POST", "/v1/models/m/versions/:predict", None),
        ("POST", "/v1/models/m/versions/1/labels/a:predict", None),
        ("GET", "/v1/models/m/1", None),
        ("GET", "/v1/models/", None),
        ("GET", "/v1", None),
    ],
)
def test_a_path_says_what_is_asked(method: str, path: str, found: tuple[str | None, ...] | None) -> None:
    asked = read_tfs_path(method, path)
    if found is None:
        assert asked is None
        return
    assert asked is not None
    expected = (*found, None, None)[:4]
    assert (asked.action, asked.model, asked.version, asked.label) == expected


def test_the_parts_of_a_path_are_as_they_were_sent() -> None:
    found = read_tfs_path("POST", "/V1/Models/a%20b/Labels/x%2F:Predict")
    assert found is not None
    assert (found.model, found.label) == ("a%20b", "x%2F")
    assert (found.prefix, found.rest) == ("/V1/Models/a%20b", ":Predict")


def test_a_malformed_request_is_named_in_one_bounded_line() -> None:
    problem = refused_request("GET", "/v1/\x00" + "x" * 10_000)
    assert problem.status == 400
    assert problem.detail.startswith("Malformed request: GET /v1/\\x00xxx")
    assert len(problem.detail) < 500


@pytest.mark.parametrize(
    ("method", "path", "status", "allow"),
    [
        ("PUT", "/v1/models/m:predict", 405, ("POST",)),
        ("DELETE", "/v1/models/m", 405, ("GET", "HEAD")),
        ("PUT", "/v1/x", 400, ()),
        ("GET", "/v1/models/m:predict", 400, ()),
        ("POST", "/v1//models/m:predict", 400, ()),
    ],
)
def test_a_refusal_names_the_methods_that_there_are(
    method: str, path: str, status: int, allow: tuple[str, ...]
) -> None:
    problem = refused_request(method, path)
    assert (problem.status, problem.allow) == (status, allow)


@pytest.mark.parametrize(
    ("path", "expected"), [("/v1", True), ("/V1/x", True), ("/v1/", True), ("/v10", False), ("/v2", False)]
)
def test_paths_of_the_api_begin_with_its_version(path: str, expected: bool) -> None:
    assert is_tfs_path(path) is expected
