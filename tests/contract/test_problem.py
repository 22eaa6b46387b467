import json

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
