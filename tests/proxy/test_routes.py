"""Which requests go to a worker, and which of the two handlers of such requests gets them."""

from __future__ import annotations

import pytest

from tfleet.httpd.http1.request import RequestHead
from tfleet.httpd.interfaces import Client
from tfleet.proxy.routes import WorkerHandlers, names_model


def native(head: RequestHead, client: Client) -> None:
    raise AssertionError


def inference(head: RequestHead, client: Client) -> None:
    raise AssertionError


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


@pytest.mark.parametrize(
    ("method", "path", "with_models", "without_models"),
    [
        (b"POST", b"/models/m/predict", native, native),
        (b"GET", b"/models", None, None),
        (b"POST", b"/v1/models/m:predict", inference, inference),
        (b"POST", b"/v2/models/m/infer", inference, inference),
        (b"GET", b"/v2/models/m", inference, inference),
        (b"GET", b"/v1/models", None, inference),
        (b"GET", b"/v1/models/m", None, inference),
        (b"GET", b"/v2/models/m/ready", None, inference),
        (b"POST", b"/v2/repository/index", None, inference),
        (b"GET", b"/v2", None, None),
        (b"GET", b"/v2/health/ready", None, None),
        (b"POST", b"/v1/models/m:train", None, None),
        (b"DELETE", b"/v2/models/m/infer", None, None),
    ],
)
def test_what_the_proxy_cannot_know_goes_to_a_worker(
    method: bytes, path: bytes, with_models: object, without_models: object
) -> None:
    assert WorkerHandlers(native, inference).of(method, path) is with_models
    assert WorkerHandlers(native, inference, models_unknown=True).of(method, path) is without_models
