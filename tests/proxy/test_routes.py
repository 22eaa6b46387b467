import pytest

from tfleet.proxy.routes import names_model


@pytest.mark.parametrize(
    ("method", "path", "expected"),
    [
        (b"GET", b"/models", False),
        (b"HEAD", b"/models/flowers", True),
        (b"POST", b"/models/flowers/versions/3/predict", True),
        (b"DELETE", b"/models/flowers", False),
        (b"GET", b"/modelstore", False),
        (b"GET", b"/model", False),
        (b"GET", b"//models", False),
    ],
)
def test_paths_below_models_go_to_a_worker(method: bytes, path: bytes, expected: bool) -> None:
    assert names_model(method, path) is expected
