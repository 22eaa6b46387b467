from __future__ import annotations

import random
from collections.abc import Collection

from tfleet.client.proxies.rotation import OUT, TRIAL_S, Proxies

A, B, C = "http://a:1", "http://b:1", "http://c:1"
THREE = Proxies((A, B, C))
NOW_S = 1000.0
RNG = random.Random(1)


def order(proxies: Proxies, turn: int = 0, now_s: float = NOW_S, requests: int = 6) -> str:
    """Who gets so many requests, one after the other."""
    found = ""
    for _ in range(requests):
        at = proxies.pick(turn, (), now_s)
        assert at is not None
        found, turn = found + proxies.urls[at].removeprefix("http://")[0], at + 1
    return found


def tries(proxies: Proxies, now_s: float = NOW_S) -> str:
    """Who gets one request that everybody fails."""
    asked: list[str] = []
    while (at := proxies.pick(0, asked, now_s)) is not None:
        asked.append(proxies.urls[at])
    return "".join(url.removeprefix("http://")[0] for url in asked)


def failed(proxies: Proxies, *urls: str, now_s: float = NOW_S) -> Proxies:
    for url in urls:
        proxies = proxies.failed(url, now_s, now_s, RNG)
    return proxies


def back_s(proxies: Proxies, url: str) -> float:
    """How long it is out from now on."""
    return proxies.outages[url].until_s - NOW_S


def test_proxies_take_turns_from_a_random_start() -> None:
    assert order(THREE) == "abcabc"
    assert order(THREE, turn=5) == "cabcab"


def test_no_proxy_is_asked_twice_for_one_request() -> None:
    assert tries(THREE) == "abc"
    assert Proxies().pick(0, (), NOW_S) is None


def test_a_failed_proxy_is_skipped_for_a_while() -> None:
    out = failed(THREE, B)
    assert order(out) == "acacac"
    assert order(out, now_s=NOW_S + OUT.first_s) == "abcabc"


def test_a_skipped_proxy_is_asked_after_all_others_failed() -> None:
    assert tries(failed(THREE, A)) == "bca"
    both = failed(failed(THREE, A), C, now_s=NOW_S - 0.4)
    assert tries(both) == "bca", "the one that is to be back first goes before"


def test_with_all_skipped_the_only_proxy_is_asked() -> None:
    assert order(failed(Proxies((A,)), A), requests=2) == "aa"


def test_repeated_failures_are_skipped_ever_longer() -> None:
    """Up to a limit."""
    out, waits_s = THREE, []
    for _ in range(8):
        out = out.failed(B, NOW_S, NOW_S, RNG)
        waits_s.append(back_s(out, B))
    assert waits_s[0] <= 1 < waits_s[2] < waits_s[4]
    assert max(waits_s) <= OUT.cap_s


def test_requests_that_fail_together_count_once() -> None:
    out = THREE.failed(B, NOW_S - 0.1, NOW_S, RNG)
    for late_s in (0.0, 0.1, 0.2):
        assert out.failed(B, NOW_S - 0.1, NOW_S + late_s, RNG) is out


def test_an_answer_resets_its_failures() -> None:
    again = failed(failed(THREE, B), B).answered(B)
    assert order(again) == "abcabc"
    assert back_s(failed(again, B), B) <= OUT.first_s
    assert THREE.answered(B) is THREE


def test_one_request_tests_whether_it_is_back() -> None:
    due_s = NOW_S + OUT.first_s
    trial = failed(THREE, B).tried(B, due_s)
    assert order(trial, now_s=due_s) == "acacac"
    assert order(trial, now_s=due_s + TRIAL_S) == "abcabc", (
        "if nothing has been heard of it, another one does"
    )
    assert THREE.tried(B, due_s) is THREE


def test_a_busy_proxy_rests_for_its_retry_after() -> None:
    """It is not taken for dead."""
    resting = THREE.resting(B, 2.0, NOW_S)
    assert order(resting, now_s=NOW_S + 1.9) == "acacac"
    assert order(resting, now_s=NOW_S + 2.0) == "abcabc"
    assert back_s(failed(resting, B), B) <= OUT.first_s
    assert back_s(THREE.resting(B, 9999.0, NOW_S), B) == OUT.cap_s


def test_alternatives_exclude_the_skipped_proxies() -> None:
    def others(proxies: Proxies, asked: Collection[str], now_s: float = NOW_S) -> bool:
        return proxies.has_other(asked, now_s)

    assert others(THREE, (A,))
    assert others(failed(THREE, B), (A,))
    assert not others(failed(THREE, B, C), (A,))
    assert others(failed(THREE, B, C), (A,), NOW_S + OUT.first_s)
    assert not others(Proxies((A,)), (A,))


def test_a_new_list_keeps_the_health_of_known_proxies() -> None:
    moved = failed(THREE, A, B).found((B, C, "http://d:1"))
    assert order(moved) == "cdcdcd"
    assert A not in moved.outages


def test_an_empty_list_changes_nothing() -> None:
    assert THREE.found(()) is THREE


def test_a_removed_proxys_failure_is_ignored() -> None:
    assert THREE.failed("http://d:1", NOW_S, NOW_S, RNG) is THREE


def test_repr_shows_its_counts() -> None:
    assert repr(failed(THREE, B)) == "<Proxies 3, out 1>"
