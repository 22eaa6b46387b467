from __future__ import annotations

import socket
import threading

import pytest

from tests.support.waiting import eventually_sync
from tfleet.contract.origin import Machine, foreign_host, foreign_page, machine, own_names


def host(text: str | None, *names: str) -> str | None:
    return foreign_host({"Host": text}.get, names)


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "127.0.0.1:12481",
        "10.1.2.3",
        "[::1]:12481",
        "[::ffff:10.1.2.3]:80",
        "localhost:12481",
        "LOCALHOST",
        "a.localhost",
        "consul",
        "registry:12481",
        "my_proxy:80",
        "box.local:12481",
        "box.lan.",
        "registry.default.svc.cluster.local:12481",
        "registry.tfleet.svc:12481",
        "registry.proj_default:12481",
        "tasks.tfleet_registry:12481",
        socket.gethostname(),
        "registry.example.com:12481",
        "Registry.Example.COM.:12481",
    ],
)
def test_a_name_that_can_only_be_ours_is_no_foreign_one(text: str | None) -> None:
    assert host(text, "registry.example.com") is None


@pytest.mark.parametrize(
    "text",
    [
        "evil.example:12481",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.com.",
        "consul.evil.com",
        "other.example.com",
        "127.0.0.1.nip.io:12481",
        "tasks.registry:12481",
        "my_proxy.evil.com",
        "registry.svc.evil.com",
    ],
)
def test_a_registrable_name_is_foreign(text: str) -> None:
    assert host(text, "registry.example.com") == text.partition(":")[0].rstrip(".").lower()


def test_a_name_of_a_swarms_tasks_is_ours_where_it_is_allowed() -> None:
    assert host("tasks.registry:12481", "tasks.registry") is None


def test_a_wildcard_address_is_no_name_of_ours() -> None:
    assert own_names(["0.0.0.0", "::", "", "Registry.Example.com."]) == {"registry.example.com"}


@pytest.mark.parametrize(
    "head",
    [
        {},
        {"Host": "127.0.0.1:1"},
        {"Host": "127.0.0.1:1", "Origin": "http://127.0.0.1:1"},
        {"Host": "Box.local", "Origin": "https://box.local", "Sec-Fetch-Site": "same-origin"},
        {"Host": "127.0.0.1:1", "Sec-Fetch-Site": "none"},
    ],
)
def test_a_program_and_a_page_of_ours_are_no_foreign_page(head: dict[str, str]) -> None:
    assert foreign_page(head.get) is None


@pytest.mark.parametrize(
    ("head", "who"),
    [
        ({"Origin": "http://evil.example"}, "a web page of http://evil.example"),
        ({"Origin": "http://127.0.0.1:2"}, "a web page of http://127.0.0.1:2"),
        ({"Origin": "null"}, "a web page that hides its origin"),
        ({"Origin": ""}, "a web page that hides its origin"),
        ({"Origin": "", "Host": ""}, "a web page that hides its origin"),
        ({"Origin": "http://[x"}, "a web page of http://[x"),
        ({"Sec-Fetch-Site": "cross-site"}, "a web page of another site"),
        ({"Sec-Fetch-Site": "same-site"}, "a web page of another site"),
        ({"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"}, "a web page of another site"),
    ],
)
def test_a_cross_site_request_is_known_by_its_headers(head: dict[str, str], who: str) -> None:
    assert foreign_page({"Host": "127.0.0.1:1", **head}.get) == who


def test_the_full_name_is_ours_once_it_is_known() -> None:
    known = threading.Event()

    def full() -> str:
        known.wait()
        return "Box.Corp.Example.com."

    box = Machine(lambda: "Box", full)
    try:
        assert box.names == {"box"}
    finally:
        known.set()
    eventually_sync(lambda: box.names == {"box", "box.corp.example.com"})


@pytest.mark.parametrize("found", ["box", "1-2-3-4.provider.example", "boxer.example.com", "localhost"])
def test_another_name_of_the_address_is_not_the_machines(found: str) -> None:
    looked = threading.Event()

    def full() -> str:
        looked.set()
        return found

    box = Machine(lambda: "box", full)
    assert looked.wait(timeout=10)
    assert box.names == {"box"}


def test_a_full_name_is_not_looked_up() -> None:
    assert Machine(lambda: "box.example.com", lambda: "box.example.com.evil.com").names == {"box.example.com"}


def test_this_machine_is_asked_by_its_full_name() -> None:
    full = socket.getfqdn()
    if not full.lower().startswith(f"{socket.gethostname().lower()}."):
        pytest.skip("this machine has no full name")
    eventually_sync(lambda: full.lower() in machine().names)
    assert foreign_host({"Host": full}.get, ()) is None
