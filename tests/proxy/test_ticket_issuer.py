import os
from pathlib import Path

from tfleet.contract.ticket import LIFETIME_S, TicketKeys, check, mint
from tfleet.contract.ticket_keys import KeyFile
from tfleet.proxy.ticket_issuer import TicketIssuer

NOW_S = 1_760_000_000


def key_file(folder: Path, key: str) -> Path:
    path = folder / "tickets.key"
    path.touch(mode=0o600)
    path.write_text(key * 64)
    os.utime(path, (ord(key), ord(key)))  # long ago, and not the same for two keys
    return path


def keys(key: str) -> TicketKeys:
    return TicketKeys((key.encode() * 64,))


def test_without_keys_there_are_no_tickets() -> None:
    assert TicketIssuer(None, "cats").current() is None


def test_a_ticket_is_always_good_for_all_of_its_time(tmp_path: Path) -> None:
    now_s = [NOW_S + 0.5]
    office = TicketIssuer(KeyFile(key_file(tmp_path, "a")), "cats", clock=lambda: now_s[0])
    given = [office.current(), office.current()]
    now_s[0] += 0.5
    given.append(office.current())
    wanted = [mint(keys("a"), "cats", NOW_S + LIFETIME_S + second) for second in (0, 0, 1)]
    assert given == wanted


def test_each_model_has_a_ticket_of_its_own(tmp_path: Path) -> None:
    now_s = [NOW_S + 0.0]
    office = TicketIssuer(KeyFile(key_file(tmp_path, "a")), "cats", clock=lambda: now_s[0])
    for second in (0, 1):
        now_s[0] = NOW_S + second
        for model in ("m", "other", "", "m"):
            expected = mint(keys("a"), "cats", NOW_S + LIFETIME_S + second, model)
            assert office.current(model) == expected


def test_thousands_of_models_get_tickets(tmp_path: Path) -> None:
    office = TicketIssuer(KeyFile(key_file(tmp_path, "a")), "cats", clock=lambda: NOW_S)
    for number in range(2500):
        name = str(number)
        assert check(keys("a"), "cats", office.current(name), NOW_S, name) is None


def test_keys_that_have_changed_sign_from_then_on(tmp_path: Path) -> None:
    file = KeyFile(key_file(tmp_path, "a"))
    office = TicketIssuer(file, "cats", clock=lambda: NOW_S)
    assert check(keys("a"), "cats", office.current(), NOW_S) is None
    key_file(tmp_path, "b")
    file.current()
    assert check(keys("b"), "cats", office.current(), NOW_S) is None
