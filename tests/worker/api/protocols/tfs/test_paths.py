import pytest

from tfleet.worker.api.protocols.tfs.paths import TfsPath, read_path, version_number


@pytest.mark.parametrize(
    ("method", "path", "found"),
    [
        ("POST", "/v1/models/m:predict", TfsPath("predict", "m")),
        ("POST", "/v1/models/m:classify", TfsPath("classify", "m")),
        ("POST", "/V1/Models/M:Regress", TfsPath("regress", "M")),
        ("POST", "/v1/models/m/versions/1:predict", TfsPath("predict", "m", "1")),
        ("POST", "/v1/models/m/versions/v1.2:predict", TfsPath("predict", "m", "v1.2")),
        ("POST", "/v1/models/m/labels/stable:predict", TfsPath("predict", "m", None, "stable")),
        ("POST", "/v1/models/a%2Fb:predict", TfsPath("predict", "a%2Fb")),
        (
            *("POST", "/v1/models/m%21%3A%5B%5D/labels/l%21%3A%5D:predict"),
            TfsPath("predict", "m%21%3A%5B%5D", None, "l%21%3A%5D"),
        ),
        ("GET", "/v1/models/m/labels/l%2F/metadata", TfsPath("metadata", "m", None, "l%2F")),
        ("GET", "/v1/models/m", TfsPath("status", "m")),
        ("HEAD", "/v1/models/m", TfsPath("status", "m")),
        ("GET", "/v1/models/m/versions/1", TfsPath("status", "m", "1")),
        ("GET", "/v1/models/m/labels/canary", TfsPath("status", "m", None, "canary")),
        ("GET", "/v1/models/m/metadata", TfsPath("metadata", "m")),
        ("GET", "/v1/models/m/versions/1/METADATA", TfsPath("metadata", "m", "1")),
        ("GET", "/v1/models", TfsPath("models")),
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
def test_a_path_says_what_is_asked(method: str, path: str, found: TfsPath | None) -> None:
    assert read_path(method, path) == found


@pytest.mark.parametrize(
    ("version", "number"),
    [("00000123", "123"), ("0", "0"), ("000", "0"), ("v01", "v01"), ("%31", "1"), ("²", "²")],
)
def test_a_version_is_a_number_where_it_is_one(version: str, number: str) -> None:
    assert version_number(version) == number
