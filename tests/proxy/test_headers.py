import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from tfleet.proxy.headers import request_headers, response_headers


def head(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def sent(*pairs: tuple[str, str], peer: str | None = "10.0.0.7") -> CIMultiDict[str]:
    return request_headers(head(*pairs), peer=peer, scheme="http", request_id="id1")


@pytest.mark.parametrize(
    "name",
    [
        *("Connection", "Keep-Alive", "Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection"),
        *("TE", "Trailer", "Transfer-Encoding", "Upgrade"),
    ],
)
def test_hop_by_hop_headers_go_neither_way(name: str) -> None:
    assert name not in sent((name, "x"))
    assert name not in response_headers(head((name, "x")))


def test_what_connection_names_is_for_this_connection_only() -> None:
    pairs = (
        ("Connection", "close, X-Secret"),
        ("connection", "x-other"),
        ("X-Secret", "1"),
        ("X-Other", "2"),
    )
    assert not {"x-secret", "x-other"} & {name.lower() for name in sent(*pairs)}
    assert list(response_headers(head(*pairs))) == []


def test_the_rest_goes_on_with_its_repetitions() -> None:
    pairs = (("Content-Type", "image/jpeg"), ("Accept", "a"), ("Accept", "b"))
    assert list(response_headers(head(*pairs)).items()) == list(pairs)
    assert sent(*pairs).getall("Accept") == ["a", "b"]


def test_the_worker_learns_who_asked_for_what() -> None:
    headers = sent(("Host", "tfleet:12480"))
    assert headers["X-Forwarded-For"] == "10.0.0.7"
    assert headers["X-Forwarded-Host"] == "tfleet:12480"
    assert headers["X-Forwarded-Proto"] == "http"
    assert headers["X-Request-Id"] == "id1"
    assert "Host" not in headers


def test_an_earlier_proxy_s_word_is_kept_and_added_to() -> None:
    headers = sent(
        ("X-Forwarded-For", "1.1.1.1"),
        ("X-Forwarded-For", "2.2.2.2"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "first"),
        ("Host", "second"),
        ("X-Request-Id", "replaced"),
    )
    assert headers.getall("X-Forwarded-For") == ["1.1.1.1, 2.2.2.2, 10.0.0.7"]
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["X-Forwarded-Host"] == "first"
    assert headers.getall("X-Request-Id") == ["id1"]


def test_an_unknown_peer_is_not_made_up() -> None:
    assert "X-Forwarded-For" not in sent(peer=None)


def test_expect_is_answered_here_and_not_passed_on() -> None:
    assert "Expect" not in sent(("Expect", "100-continue"))


def test_a_value_that_is_no_utf_8_is_left_out_rather_than_changed() -> None:
    pairs = (("X-Utf-8", "café"), ("X-Latin-1", b"caf\xe9".decode(errors="surrogateescape")))
    assert list(response_headers(head(*pairs))) == ["X-Utf-8"]
    assert "X-Latin-1" not in sent(*pairs)
