import pytest

from tfleet.contract.cors import CORS_OFF, BadOriginError, Cors, preflight_origin, without_cors_headers

A, B = "https://a.example", "https://b.example"
ALLOW = "Access-Control-Allow-Origin"
SEVERAL = Cors.parse((A, B))


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        (A, A),
        ("HTTPS://A.Example", A),
        ("https://a.example:443", A),
        ("http://a.example:80", "http://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("http://localhost:8080", "http://localhost:8080"),
        ("http://[::1]:8080", "http://[::1]:8080"),
        ("capacitor://localhost", "capacitor://localhost"),
        (" * ", "*"),
    ],
)
def test_origins_are_read_as_browsers_write_them(text: str, origin: str) -> None:
    assert Cors.parse([text]).origins == {origin}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a.example",
        "https://",
        f"{A}/",
        f"{A}/page",
        "https://*.example",
        "null",
        f"{A} {B}",
        f"{A}\r\nX: y",
    ],
)
def test_an_invalid_origin_is_refused(text: str) -> None:
    with pytest.raises(BadOriginError, match="is not an origin: expected https://HOST") as refused:
        Cors.parse([text])
    assert str(refused.value).isprintable()


def test_without_origins_there_are_no_cors_headers() -> None:
    assert not CORS_OFF
    assert CORS_OFF.headers(A) == {}
    assert CORS_OFF.lines(A.encode()) == ()


def test_a_star_allows_any_origin() -> None:
    said = Cors.parse(["*"]).headers(None)
    assert said[ALLOW] == "*"
    exposed = said["Access-Control-Expose-Headers"].split(", ")
    assert {"X-Request-Id", "Inference-Header-Content-Length"} <= set(exposed)
    assert "Vary" not in said


@pytest.mark.parametrize("origin", [A, B])
def test_each_of_several_origins_is_allowed(origin: str) -> None:
    said = SEVERAL.headers(origin)
    assert (said[ALLOW], said["Vary"]) == (origin, "Origin")


@pytest.mark.parametrize("origin", ["https://c.example", "null", "http://a.example", f"{A}:8443", "", None])
def test_other_origins_are_refused_and_vary_is_set(origin: str | None) -> None:
    assert SEVERAL.headers(origin) == {"Vary": "Origin"}


def test_a_single_origin_is_named_for_unread_requests() -> None:
    assert Cors.parse([A]).headers(None)[ALLOW] == A
    assert ALLOW not in Cors.parse([A]).headers(B)


def test_a_preflight_lists_what_may_be_sent() -> None:
    told = SEVERAL.preflight(A)
    assert {"Content-Type", "X-Ticket", "Idempotency-Key"} <= set(
        told["Access-Control-Allow-Headers"].split(", ")
    )
    assert told["Access-Control-Allow-Methods"] == "GET, HEAD, POST, DELETE"
    assert SEVERAL.preflight_problem(A) is None
    refused = SEVERAL.preflight_problem("https://c.example")
    assert refused is not None
    assert refused.status == 403
    assert "'https://c.example'" in refused.detail


def test_only_options_with_cors_headers_is_a_preflight() -> None:
    asked = {"Origin": A, "Access-Control-Request-Method": "POST"}
    assert preflight_origin("OPTIONS", asked.get) == A
    assert preflight_origin("POST", asked.get) is None
    for name in asked:
        assert preflight_origin("OPTIONS", {n: v for n, v in asked.items() if n != name}.get) is None


def test_cors_headers_of_others_are_removed() -> None:
    lines = [b"X-A: 1", b"access-control-allow-origin: *", b"Access-Control-Max-Age: 5", b"Vary: Origin"]
    assert without_cors_headers([*lines, b"Vary: Accept"]) == [b"X-A: 1", b"Vary: Accept"]
