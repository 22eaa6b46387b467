import io
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
import tensorflow as tf
from PIL import Image

from tests.support.running_worker import MAX_BODY_BYTES, load, serving
from tfleet.contract.address import Address
from tfleet.worker.inference import Classifier
from tfleet.worker.lifecycle import LifecycleState

pytestmark = pytest.mark.process


PHOTOS = Path("tests/data")
CAT = (PHOTOS / "cat.jpg").read_bytes()
BEST = {"cat": "tiger cat", "coffee": "espresso", "rocket": "missile", "hopper": "academic gown"}


def post(worker: Address, path: str = "/", **options: Any) -> requests.Response:
    return requests.post(worker.url + path, timeout=30, **options)


def problem(answer: requests.Response, status: int) -> str:
    """The detail of a problem document, after a check of its form."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    document = answer.json()
    assert document.keys() == {"type", "title", "status", "detail", "success"}
    assert document["status"] == status
    assert document["success"] is False
    assert answer.headers["X-Request-Id"]
    detail: str = document["detail"]
    assert "\n" not in detail
    return detail


@pytest.mark.parametrize("photo", BEST)
def test_a_photograph_gets_its_labels_best_first(worker: Address, photo: str) -> None:
    answer = post(worker, files={"data": (PHOTOS / f"{photo}.jpg").read_bytes()})
    ranking = answer.json()
    assert ranking[0][0] == BEST[photo]
    probabilities = [probability for _, probability in ranking]
    assert len(ranking) == 5
    assert probabilities == sorted(probabilities, reverse=True)


@pytest.mark.parametrize(
    "sent",
    [
        {"files": {"data": CAT}},
        {"files": {"image": CAT}},
        {"files": {"image": CAT, "data": ("", b"")}},
        {"data": CAT, "headers": {"Content-Type": "image/jpeg"}},
        {"data": CAT, "headers": {"Content-Type": "image/*"}},
        {"data": iter([CAT[:1000], CAT[1000:]]), "headers": {"Content-Type": "image/jpeg"}},
    ],
    ids=["field data", "field image", "empty data", "raw", "raw any", "raw chunked"],
)
def test_each_way_to_send_an_image_is_taken(worker: Address, sent: dict[str, Any]) -> None:
    answer = post(worker, "/predict?top=1", **sent)
    assert answer.json()["predictions"][0]["label"] == "tiger cat"


def test_predict_answers_with_success_and_named_fields(worker: Address) -> None:
    document = post(worker, "/predict", files={"image": CAT}).json()
    assert document["success"] is True
    assert document["predictions"][0].keys() == {"label", "probability"}
    assert document["predictions"][0]["probability"] == pytest.approx(0.380, abs=0.01)


@pytest.mark.parametrize(("asked", "given"), [("1", 1), ("7", 7), ("1000", 1000)])
def test_top_says_how_many_labels(worker: Address, asked: str, given: int) -> None:
    assert len(post(worker, f"/?top={asked}", files={"data": CAT}).json()) == given


@pytest.mark.parametrize("asked", ["0", "-1", "x", "", "1.5", "٣", "9" * 5000, "1001"])
def test_a_top_beyond_the_classes_or_no_number_is_refused(worker: Address, asked: str) -> None:
    assert "1 to 1000" in problem(post(worker, "/", params={"top": asked}, files={"data": CAT}), 400)


def test_every_answer_names_its_worker_and_its_times(worker: Address) -> None:
    headers = post(worker, files={"data": CAT}, headers={"X-Request-Id": "mine"}).headers
    assert headers["X-Request-Id"] == "mine"
    assert headers["X-Worker"] == "w1"
    assert headers["X-Model"] == "efficientnet-lite0/1"
    assert re.fullmatch(r"decode;dur=\d+\.\d, queue;dur=\d+\.\d, infer;dur=\d+\.\d", headers["Server-Timing"])


def png(width: int, height: int) -> bytes:
    """A PNG of a few kB that claims any size: its rows are all there only if somebody decodes them."""
    small = io.BytesIO()
    Image.new("1", (8, 8)).save(small, "PNG")
    data = bytearray(small.getvalue())
    data[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    data[29:33] = __import__("zlib").crc32(bytes(data[12:29])).to_bytes(4, "big")
    return bytes(data)


@pytest.mark.parametrize(
    ("sent", "status", "said"),
    [
        ({}, 400, "no body"),
        ({"files": {"data": b""}}, 400, "empty"),
        ({"files": {"data": ("cat.jpg", b"I am a text, not a cat")}}, 400, "image"),
        ({"files": {"data": CAT[:10_000]}}, 400, "truncated|cut|end"),
        ({"files": {"data": b"II*\x00" + bytes(100)}}, 415, "TIFF"),
        ({"files": {"data": png(50_000, 50_000)}}, 413, "--max-pixels"),
        ({"files": {"other": CAT}}, 400, "other"),
        ({"files": {"x": b""}, "data": {"data": "cat.jpg"}}, 400, "data=@FILE"),
        ({"data": b"{}", "headers": {"Content-Type": "application/json"}}, 400, "JSON document is empty"),
        ({"data": b"{}"}, 415, "Content-Type"),
        ({"data": CAT, "headers": {"Content-Type": "image/jpeg", "Content-Encoding": "gzip"}}, 415, "gzip"),
        (
            {"data": b"--x\r\nbroken", "headers": {"Content-Type": "multipart/form-data; boundary=x"}},
            400,
            "broken",
        ),
        ({"data": CAT, "headers": {"Content-Type": "multipart/form-data"}}, 400, "broken"),
    ],
)
def test_a_bad_image_does_not_disturb_the_next_request(
    worker: Address, sent: dict[str, Any], status: int, said: str
) -> None:
    assert re.search(said, problem(post(worker, **sent), status))
    assert post(worker, files={"data": CAT}).json()[0][0] == "tiger cat"


def test_a_body_over_the_limit_is_refused_from_its_head_alone(worker: Address) -> None:
    with socket.create_connection((worker.host, worker.port), timeout=10) as client:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {MAX_BODY_BYTES + 1}\r\n"
        client.sendall(head.encode() + b"Content-Type: image/jpeg\r\nExpect: 100-continue\r\n\r\n")
        answer = client.makefile("rb").read()
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"100 Continue" not in answer
    assert b"application/problem+json" in answer
    assert b"--max-body-bytes" in answer


def test_a_client_sending_too_much_sees_the_refusal(worker: Address) -> None:
    answer = post(worker, data=bytes(20 * MAX_BODY_BYTES), headers={"Content-Type": "image/jpeg"})
    assert "--max-body-bytes" in problem(answer, 413)


def test_a_body_just_at_the_limit_is_read(worker: Address) -> None:
    padded = CAT + bytes(MAX_BODY_BYTES - len(CAT))
    assert post(worker, data=padded, headers={"Content-Type": "image/jpeg"}).status_code == 200


def test_the_page_of_an_image_model_says_how_it_is_asked(worker: Address) -> None:
    page = requests.get(f"{worker.url}/models/efficientnet-lite0", timeout=30).json()
    assert (page["kind"], page["labels"][281], page["columns"]) == ("image", "tabby", None)
    assert page["preprocessing"]["size"] == [224, 224]
    assert page["preprocessing"]["mean"] == [127.0]
    assert (page["embedding"]["size"], len(page["embedding"]["space"])) == (1280, 64)
    assert page["example"] == f"curl -F data=@photo.jpg {worker}"


def test_an_image_is_classified_by_the_model_s_name(worker: Address) -> None:
    for path, plain in (("/models/efficientnet-lite0", True), ("/predict?signature=serving_default", False)):
        answer = post(worker, path, files={"data": CAT}).json()
        assert (answer[0][0] if plain else answer["predictions"][0]["label"]) == "tiger cat"


def test_two_signatures_for_an_image_are_refused(worker: Address) -> None:
    path = "/models/efficientnet-lite0/signatures/serving_default/predict"
    assert post(worker, f"{path}?signature=serving_default", files={"data": CAT}).ok
    said = problem(post(worker, f"{path}?signature=other", files={"data": CAT}), 400)
    assert said == "the path names another signature than ?signature="


def test_an_unknown_path_is_a_404_document(worker: Address) -> None:
    said = problem(requests.get(f"{worker.url}/nothing", timeout=30), 404)
    assert "there is no /nothing: send an image or the model's inputs to POST /predict" in said


def test_a_wrong_method_is_a_405_document(worker: Address) -> None:
    answer = requests.get(f"{worker.url}/predict", timeout=30)
    assert "POST" in problem(answer, 405)
    assert "POST" in answer.headers["Allow"]


def test_a_starting_worker_is_alive_but_not_ready() -> None:
    with serving(None) as (worker, _):
        assert requests.get(f"{worker.url}/healthz", timeout=30).ok
        assert problem(requests.get(f"{worker.url}/readyz", timeout=30), 503) == "the worker is starting"
        answer = post(worker, files={"data": CAT})
        assert "loading its model" in problem(answer, 503)
        assert answer.headers["Retry-After"] == "1"


def test_a_draining_worker_is_not_ready_but_still_classifies(classifier: Classifier) -> None:
    with serving(classifier) as (worker, lifecycle):
        assert requests.get(f"{worker.url}/readyz", timeout=30).ok
        lifecycle.drain()
        assert problem(requests.get(f"{worker.url}/readyz", timeout=30), 503) == "the worker is draining"
        assert post(worker, files={"data": CAT}).ok


def test_a_refusal_says_to_retry_another_worker_at_once(classifier: Classifier) -> None:
    with serving(classifier) as (worker, lifecycle):
        lifecycle.drain()
        lifecycle.refuse()
        answer = post(worker, files={"data": CAT})
        assert "another" in problem(answer, 503)
        assert answer.headers["Retry-After"] == "0"


def test_an_upload_in_flight_at_the_drain_is_classified(classifier: Classifier) -> None:
    with serving(classifier) as (worker, lifecycle):
        with socket.create_connection((worker.host, worker.port), timeout=10) as client:
            head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: {len(CAT)}\r\n"
            client.sendall(f"{head}Connection: close\r\n\r\n".encode() + CAT[:1000])
            answered = requests.get(f"{worker.url}/healthz", timeout=30)  # so the first half has come in
            lifecycle.drain()
            lifecycle.refuse()
            client.sendall(CAT[1000:])
            answer = client.makefile("rb").read()
    assert answered.ok
    assert answer.startswith(b"HTTP/1.1 200 ")


def test_a_worker_drains_on_request_once_ready(classifier: Classifier) -> None:
    with serving(classifier) as (worker, lifecycle):
        answer = post(worker, "/drain")
        assert (answer.status_code, answer.text) == (202, "draining\n")
        assert repr(lifecycle) == "<Lifecycle draining>"
    with serving(None) as (worker, _):
        problem(post(worker, "/drain"), 503)


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        ({"Origin": "https://evil.example"}, "this comes from a web page of https://evil.example: "),
        ({"Origin": "null"}, "this comes from a web page that hides its origin: "),
        ({"Sec-Fetch-Site": "cross-site"}, "this comes from a web page of another site: "),
        (
            {"Host": "evil.example:80", "Origin": "http://evil.example:80"},
            "evil.example is not a known name of this worker: ",
        ),
    ],
)
def test_no_web_page_can_drain_a_worker(classifier: Classifier, headers: dict[str, str], why: str) -> None:
    with serving(classifier) as (worker, lifecycle):
        detail = problem(post(worker, "/drain", headers=headers), 403)
        assert detail.startswith(why)
        assert "`tfleet drain ID`" in detail
        assert lifecycle.state is LifecycleState.READY
        assert post(worker, "/drain", headers={"Host": f"worker:{worker.port}"}).status_code == 202


@pytest.mark.parametrize("method", ["GET /healthz", "POST /drain"])
def test_a_request_for_another_worker_is_421(classifier: Classifier, method: str) -> None:
    verb, path = method.split()
    with serving(classifier) as (worker, lifecycle):
        answer = requests.request(verb, f"{worker.url}{path}?worker=w2", timeout=30)
        assert problem(answer, 421) == "this is w1, not w2"
        assert repr(lifecycle) == "<Lifecycle ready>"
        assert requests.request(verb, f"{worker.url}{path}?worker=w1", timeout=30).ok


def test_healthz_with_a_worker_query_answers_the_id() -> None:
    with serving(None) as (worker, _):
        assert requests.get(f"{worker.url}/healthz?worker=w1", timeout=30).text == "w1\n"
        assert requests.get(f"{worker.url}/healthz", timeout=30).text == "ok\n"


def test_a_loaded_unready_worker_says_why_and_classifies(classifier: Classifier) -> None:
    with serving(None) as (worker, lifecycle):
        lifecycle.loaded(classifier)
        lifecycle.held_up("the registry can't reach it")
        answer = requests.get(f"{worker.url}/readyz", timeout=30)
        assert problem(answer, 503) == "the worker is starting: the registry can't reach it"
        assert "nothing to drain: the worker is starting" in problem(post(worker, "/drain"), 503)
        assert post(worker, files={"data": CAT}).ok


def test_get_worker_answers_the_address_as_text_or_json(worker: Address) -> None:
    assert requests.get(f"{worker.url}/worker", timeout=30).text == f"{worker}\n"
    answer = requests.get(f"{worker.url}/worker", headers={"Accept": "application/json"}, timeout=30)
    assert answer.json() == {
        "id": "w1",
        "address": str(worker),
        "wan": None,
        "model": "efficientnet-lite0",
        "version": "1",
        "stateful": False,
        "state": "ready",
    }


def test_the_front_page_has_curl_lines_to_paste(worker: Address) -> None:
    page = requests.get(worker.url, timeout=30).text
    assert f'curl -v -XPOST {worker} -F "data=@cat.jpg"' in page


def test_the_metrics_count_requests_and_stages(worker: Address) -> None:
    post(worker, files={"data": CAT})
    post(worker, "/nothing")
    text = requests.get(f"{worker.url}/metrics", timeout=30).text.splitlines()
    assert 'tfleet_worker_requests_total{path="/",status="200"} 1.0' in text
    assert 'tfleet_worker_requests_total{path="unknown",status="404"} 1.0' in text
    assert 'tfleet_worker_stage_seconds_count{stage="infer"} 1.0' in text


def test_the_session_is_made_once_for_100_requests_in_8_threads() -> None:
    made: list[tf.compat.v1.Session] = []

    def factory(*args: Any, **options: Any) -> tf.compat.v1.Session:
        made.append(tf.compat.v1.Session(*args, **options))
        return made[-1]

    classifier = load(factory)
    with serving(classifier) as (worker, _), ThreadPoolExecutor(8) as threads:
        photos = [(name, (PHOTOS / f"{name}.jpg").read_bytes()) for name in BEST]

        def classify(number: int) -> bool:
            name, image = photos[number % len(photos)]
            ranking = post(worker, files={"data": image}).json()
            return bool(ranking[0][0] == BEST[name])

        assert all(threads.map(classify, range(100)))
    classifier.close()
    assert len(made) == 1


def test_an_unexpected_failure_is_a_500_document(classifier: Classifier) -> None:
    loaded = classifier

    class Broken:
        labels = loaded.labels
        predictor = loaded.predictor

        @property
        def classifier(self) -> "Broken":
            return self

        def prepare(self, *_: Any) -> None:
            raise ZeroDivisionError("a secret of the house")

    with serving(Broken()) as (worker, _):
        answer = post(worker, files={"data": CAT})
        assert "log" in problem(answer, 500)
        assert "secret" not in answer.text
        assert json.loads(answer.text)["title"] == "Internal Server Error"


def test_an_image_for_another_worker_is_421(worker: Address) -> None:
    answer = post(worker, files={"data": CAT}, headers={"X-Worker": "w2"})
    assert "address now: ask the proxy again" in problem(answer, 421)
    assert answer.headers["X-Worker"] == "w1"
    text = requests.get(f"{worker.url}/metrics", timeout=30).text
    assert 'tfleet_worker_rejected_total{reason="misdirected"} 1.0' in text
