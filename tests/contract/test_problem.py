import json

import pytest

from tfleet.contract.problem import Problem


def test_a_problem_is_a_document_of_rfc_9457_with_success_false() -> None:
    problem = Problem(429, "the queue is full", retry_after_s=3)
    assert json.loads(problem.body()) == {
        "type": "about:blank",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "the queue is full",
        "success": False,
    }
    assert problem.headers() == {"Content-Type": "application/problem+json", "Retry-After": "3"}


def test_a_405_lists_the_allowed_methods() -> None:
    assert Problem(405, "no", allow=("GET", "POST")).headers()["Allow"] == "GET, POST"


@pytest.mark.parametrize("path", ["/v1", "/v1/models/m:predict", "/V1/x", "/v2", "/v2/models/m/infer"])
def test_clients_of_other_servers_find_the_text_in_error(path: str) -> None:
    problem = Problem(404, "there is no model m")
    assert json.loads(problem.body(path)) == {
        "error": "there is no model m",
        "title": "Not Found",
        "status": 404,
        "detail": "there is no model m",
        "success": False,
    }
    assert problem.headers(path) == {"Content-Type": "application/json"}


@pytest.mark.parametrize("path", ["/", "/v3", "/v10/models", "/v2x", "/models/v1", "*"])
def test_other_paths_have_problem_documents(path: str) -> None:
    problem = Problem(404, "no")
    assert "error" not in json.loads(problem.body(path))
    assert problem.headers(path)["Content-Type"] == "application/problem+json"
