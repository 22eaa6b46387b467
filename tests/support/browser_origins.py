"""Origins of web pages, and the headers by which a server says what they may read."""

from collections.abc import Mapping

A, B, C = "https://a.example", "https://b.example", "https://c.example"
ALLOW = "Access-Control-Allow-Origin"
EXPOSE = "Access-Control-Expose-Headers"
NOTHING: Mapping[str, str] = {}
PREFLIGHT = {
    "Origin": A,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "x-ticket",
}


def headers_from(origin: str | None, more: Mapping[str, str] = NOTHING) -> dict[str, str]:
    """The headers of a request from a page of this origin; None is a client that is no browser."""
    return {**more} if origin is None else {"Origin": origin, **more}
