import shutil

import pytest

from benchmarks.load import wrk
from benchmarks.load.form import Form
from tests.benchmarks.load.test_closed_loop import statuses_server

_SAID = """Running 1s test @ http://127.0.0.1:18997/
  1 threads and 1 connections
Requests/sec:     22.99
{"began_s": 100, "p50_us": 20500, "p99_us": 31000, "failed": 1, "answered_s": [101, 102, 103, 104, 105, 106]}
"""


def test_the_scripts_line_after_wrks_report_is_read() -> None:
    found = wrk.read(_SAID)
    assert (found.p50_ms, found.p99_ms, found.answered, found.failed) == (20.5, 31, 6, 1)
    assert found.per_second == pytest.approx(1)


def test_a_report_without_the_scripts_line_is_no_result() -> None:
    with pytest.raises(ValueError, match="wrk said nothing"):
        wrk.read("unable to connect to 127.0.0.1:1 Connection refused")


@pytest.mark.process
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_sends_the_form_and_counts_what_is_not_200() -> None:
    with statuses_server(200, 302) as (url, bodies):
        found = wrk.load(url, Form.of(b"picture"), 1, 1)
    assert found.answered > 1
    assert abs(found.failed - found.answered / 2) <= 1
    assert set(bodies) == {Form.of(b"picture").body}


@pytest.mark.process
@pytest.mark.skipif(shutil.which("wrk") is None, reason="wrk is not installed")
def test_wrk_sends_many_forms_in_turn() -> None:
    forms = [Form.of(picture) for picture in (b"one", b"two", b"three")]
    with statuses_server(200) as (url, bodies):
        found = wrk.load_many(url, forms, 1, 1)
    assert (found.answered > 3, found.failed) == (True, 0)
    assert {*bodies[:3]} == {form.body for form in forms}  # which one is first depends on wrk
    assert bodies[3:6] == bodies[:3]
