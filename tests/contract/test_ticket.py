import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.contract.ticket import LIFETIME_S, MAX_CLOCK_SKEW_S, TicketFault, TicketKeys, check, mint

NOW_S = 1_760_000_000
OLD, NEW = b"o" * 32, b"n" * 32
KEYS = TicketKeys((OLD,))
TICKET = mint(KEYS, "tfleet", NOW_S + LIFETIME_S)

ALPHABET = string.ascii_letters + string.digits + "-_."


def test_a_ticket_is_text_that_needs_no_quoting() -> None:
    expiry, _, signature = TICKET.partition(".")
    assert expiry == str(NOW_S + LIFETIME_S)
    assert len(signature) == 43
    assert set(signature) <= set(ALPHABET)


def test_the_signature_is_stable() -> None:
    """By another implementation: printf 'tfleet-ticket-1\\0tfleet\\0001760000060' | openssl dgst -hmac ..."""
    assert mint(KEYS, "tfleet", 1_760_000_060) == "1760000060.biqjoc6hlh4sXCNFzCrRAftsClR_xbWj0L9RadRUrck"


def test_a_ticket_is_valid_until_expiry_plus_clock_skew() -> None:
    for age_s in (0, LIFETIME_S, LIFETIME_S + MAX_CLOCK_SKEW_S):
        assert check(KEYS, "tfleet", TICKET, NOW_S + age_s) is None
    assert check(KEYS, "tfleet", TICKET, NOW_S + LIFETIME_S + MAX_CLOCK_SKEW_S + 0.1) is TicketFault.EXPIRED


def test_a_slow_clock_makes_no_ticket_fresh() -> None:
    assert check(KEYS, "tfleet", TICKET, NOW_S - MAX_CLOCK_SKEW_S) is None
    assert check(KEYS, "tfleet", TICKET, NOW_S - MAX_CLOCK_SKEW_S - 0.1) is TicketFault.TOO_LONG


@pytest.mark.parametrize("nothing", [None, ""])
def test_an_absent_ticket_is_missing(nothing: str | None) -> None:
    assert check(KEYS, "tfleet", nothing, NOW_S) is TicketFault.MISSING


@pytest.mark.parametrize(
    "text",
    [
        "x",
        ".",
        TICKET + "A",
        TICKET[:-1],
        TICKET + "=",
        TICKET + "\n",
        f"{TICKET}, {TICKET}",
        " " + TICKET,
        "-" + TICKET,
        "٣" + TICKET[1:],
        "9" * 5000 + "." + "A" * 43,
        "é" * 43,
        "\udc80",
    ],
)
def test_text_of_another_form_is_malformed(text: str) -> None:
    assert check(KEYS, "tfleet", text, NOW_S) is TicketFault.MALFORMED


@given(st.integers(0, len(TICKET) - 1), st.characters())
def test_a_changed_character_is_refused(at: int, character: str) -> None:
    changed = TICKET[:at] + character + TICKET[at + 1 :]
    assert (check(KEYS, "tfleet", changed, NOW_S) is None) == (changed == TICKET)


@given(st.integers(0, len(TICKET) - 1), st.sampled_from(ALPHABET))
def test_a_changed_ticket_of_the_right_form_is_refused(at: int, character: str) -> None:
    changed = TICKET[:at] + character + TICKET[at + 1 :]
    assert (check(KEYS, "tfleet", changed, NOW_S) is None) == (changed == TICKET)


@given(st.text(max_size=100))
def test_any_text_is_checked_without_an_exception(text: str) -> None:
    assert check(KEYS, "tfleet", text, NOW_S) is not None


@pytest.mark.parametrize("service", ["tfleet2", "", "tflee", "TFLEET"])
def test_a_ticket_is_for_one_service(service: str) -> None:
    assert check(KEYS, service, TICKET, NOW_S) is TicketFault.WRONG_SIGNATURE


def test_the_signature_for_a_model_is_stable() -> None:
    """By another implementation: printf 'tfleet-ticket-2\\0tfleet\\0flowers\\0001760000060' | openssl ..."""
    ticket = mint(KEYS, "tfleet", 1_760_000_060, "flowers")
    assert ticket == "1760000060.bZ4DKyKZrIzqBoYVSv769f0HONr_9LreD7nN1-XkwD4"


@pytest.mark.parametrize("model", ["flowers2", "flower", "FLOWERS", "", "tfleet"])
def test_a_models_ticket_is_for_its_workers_only(model: str) -> None:
    ticket = mint(KEYS, "tfleet", NOW_S + LIFETIME_S, "flowers")
    assert check(KEYS, "tfleet", ticket, NOW_S, "flowers") is None
    assert check(KEYS, "tfleet", ticket, NOW_S, model) is TicketFault.WRONG_SIGNATURE
    assert check(KEYS, "other", ticket, NOW_S, "flowers") is TicketFault.WRONG_SIGNATURE
    assert check(KEYS, "tfleet", ticket, NOW_S + 100, "flowers") is TicketFault.EXPIRED


def test_a_services_ticket_is_for_every_model() -> None:
    assert check(KEYS, "tfleet", TICKET, NOW_S, "flowers") is None


def test_both_keys_verify_a_models_ticket() -> None:
    ticket = mint(KEYS, "tfleet", NOW_S + LIFETIME_S, "flowers")
    assert check(TicketKeys((NEW, OLD)), "tfleet", ticket, NOW_S, "flowers") is None


def test_a_models_name_is_not_the_services() -> None:
    """Where the parts of what is signed could be cut in two ways."""
    for service, model in (("a", "b.1"), ("a.b", "1"), ("b", "a")):
        ticket = mint(KEYS, "a", NOW_S + LIFETIME_S, "b")
        assert check(KEYS, service, ticket, NOW_S, model) is TicketFault.WRONG_SIGNATURE


def test_the_first_of_two_keys_signs_and_both_verify() -> None:
    both, new = TicketKeys((NEW, OLD)), TicketKeys((NEW,))
    assert check(both, "tfleet", TICKET, NOW_S) is None
    signed_anew = mint(both, "tfleet", NOW_S + LIFETIME_S)
    assert check(both, "tfleet", signed_anew, NOW_S) is None
    assert check(new, "tfleet", signed_anew, NOW_S) is None
    assert check(KEYS, "tfleet", signed_anew, NOW_S) is TicketFault.WRONG_SIGNATURE


def test_a_foreign_tickets_time_is_not_reported() -> None:
    for expires_at_s in (0, NOW_S, NOW_S * 100):
        ticket = mint(TicketKeys((NEW,)), "tfleet", expires_at_s)
        assert check(KEYS, "tfleet", ticket, NOW_S) is TicketFault.WRONG_SIGNATURE


def test_repr_does_not_show_keys() -> None:
    assert "ooo" not in repr(KEYS)
