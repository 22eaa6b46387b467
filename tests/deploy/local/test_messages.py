from __future__ import annotations

from pathlib import Path

import pytest

from tfleet.contract.address import Address
from tfleet.deploy.local import messages as announce
from tfleet.discovery.registration.advertise import network_address
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry
from tfleet.proxy.settings import Mode

HERE = Address("127.0.0.1", 12480)


def ready(mode: Mode, here: Address, there: Address | None = None) -> str:
    calls = announce.example_calls(mode, here, "cat.jpg", "lite0", "image")
    return announce.ready_message(calls, here, "tfleet", there)


@pytest.mark.parametrize(
    ("mode", "line"),
    [("forward", "curl localhost:12480/models/iris"), ("p2p", "curl -L localhost:12480/models/iris")],
)
def test_a_model_without_images_is_asked_how_it_is_asked(mode: Mode, line: str) -> None:
    assert announce.example_calls(mode, HERE, "cat.jpg", "iris", "table") == [line]


def test_forward_mode_shows_the_contracts_two_curl_lines() -> None:
    lines = ready("forward", HERE).splitlines()
    assert '  curl -v -XPOST localhost:12480 -F "data=@cat.jpg"' in lines
    assert "  curl -X POST -F image=@cat.jpg 'http://localhost:12480/predict'" in lines
    assert "  tfleet status" in lines


def test_p2p_mode_asks_the_proxy_for_a_worker_first() -> None:
    lines = ready("p2p", HERE).splitlines()
    assert '  curl -v -XPOST $(curl -s localhost:12480) -F "data=@cat.jpg"' in lines
    assert sum("curl" in line for line in lines) == 1


def test_a_chosen_port_is_in_every_line() -> None:
    text = ready("forward", Address("127.0.0.1", 8080))
    assert text.count("localhost:8080") == 3
    assert "  tfleet status --proxy localhost:8080" in text


def test_a_shared_proxy_is_named_by_its_public_address() -> None:
    there = Address("192.0.2.1", 12480)
    shared = ready("forward", HERE, there)
    assert shared.count("localhost:12480") == 2
    assert shared.endswith("\nOther machines find it at 192.0.2.1:12480.\n")
    only_there = ready("p2p", there, there)
    assert "$(curl -s 192.0.2.1:12480)" in only_there
    assert "  tfleet status --proxy 192.0.2.1:12480" in only_there


def test_others_find_a_proxy_only_off_loopback() -> None:
    assert announce.address_for_others(Address("localhost", 1)) is None
    assert announce.address_for_others(Address("192.0.2.1", 1)) == Address("192.0.2.1", 1)
    own = network_address()
    assert announce.address_for_others(Address("0.0.0.0", 1)) == (Address(own, 1) if own else None)


def test_the_photo_is_the_checkouts_own_where_there_is_one(tmp_path: Path) -> None:
    assert announce.photo(tmp_path) == "cat.jpg"
    (tmp_path / "tests" / "data").mkdir(parents=True)
    (tmp_path / "tests" / "data" / "cat.jpg").touch()
    assert announce.photo(tmp_path) == "tests/data/cat.jpg"


def test_the_opening_says_what_is_started_and_how_to_stop_it() -> None:
    registry = EmbeddedRegistry(Address("127.0.0.1", 12481))
    assert announce.start_message(1, "p2p", Address("127.0.0.1", 12480), registry) == (
        "a fleet of 1 worker behind a proxy on 127.0.0.1:12480 (p2p mode), "
        "registry embedded (127.0.0.1:12481); Ctrl-C stops it all"
    )


@pytest.mark.parametrize(
    ("ready", "text"),
    [
        (0, "waiting for 2 workers (5 s): TensorFlow takes a while to load a model"),
        (1, "1 of 2 workers ready after 5 s"),
        (2, "2 of 2 workers ready after 5 s"),
    ],
)
def test_progress_counts_the_ready_workers(ready: int, text: str) -> None:
    assert announce.progress(ready, 2, 5.2) == text


def test_the_farewell_names_its_cause() -> None:
    assert announce.stop_message("SIGTERM").startswith("stopping because of SIGTERM: the proxy first")


def test_a_program_off_the_path_is_shown_with_its_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / ".venv" / "bin" / "tfleet"
    installed.parent.mkdir(parents=True)
    installed.touch(mode=0o755)
    monkeypatch.setenv("PATH", "")
    assert announce.program(str(installed), tmp_path) == ".venv/bin/tfleet"
    assert announce.program(str(installed), tmp_path / "elsewhere") == str(installed)
    assert announce.program("-c", tmp_path) == "tfleet"
    monkeypatch.setenv("PATH", str(installed.parent))
    assert announce.program(str(installed), tmp_path) == "tfleet"


def test_a_silent_registry_is_named_with_what_to_do_about_it() -> None:
    said = announce.unreachable_registry_warning(ConsulRegistry(Address("consul", 8500)))
    assert "consul:8500 does not answer" in said
    assert "CONSUL_HTTP_ADDR" in said
