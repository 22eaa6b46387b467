from tests.bench.form import Form
from tests.bench.open_loop import flood
from tests.bench.test_load import statuses_server

_FORM = Form.of(b"picture")


async def test_good_answers_and_rejections_are_told_apart() -> None:
    with statuses_server(200, 429, 200, 503) as (url, _):
        found = await flood(url, _FORM.request(url), per_second=200, seconds=0.2, connections=8)
    assert found.statuses == {200: 20, 429: 10, 503: 10}
    assert (len(found.good_s), len(found.rejections_ms), found.not_sent, found.broken) == (20, 10, 0, 0)
    assert all(0 <= one < 1000 for one in found.rejections_ms)
    assert found.goodput > 0


async def test_does_not_wait_for_answers_and_says_where_it_lacked_a_connection() -> None:
    with statuses_server(200) as (url, _):
        at_once = {"per_second": 1e9, "seconds": 10e-9}
        found = await flood(url, _FORM.request(url), **at_once, connections=4)
    assert (found.statuses, found.not_sent) == ({200: 4}, 6)
