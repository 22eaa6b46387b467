"""Why a Consul said no, and what to set."""

from __future__ import annotations

from typing import Final

_UNKNOWN_TOKEN: Final = "ACL not found"  # noqa: S105 - Consul's words for a token that it does not know
_EMBEDDED: Final = ("--allow-host", "--registry-token-file")
_MAY_NOT: Final = "Permission denied"
_ANYTHING: Final = "what docs/operations.md says"
_HTTP_TO_HTTPS: Final = "HTTP request to an HTTPS server"


def denied(said: str, needed: str = _ANYTHING) -> str:
    """What a 403 means, given its words and the rules that the token should have had."""
    if any(option in said for option in _EMBEDDED):  # the embedded registry: it says by itself what to do
        return said.strip()
    if _UNKNOWN_TOKEN in said:
        return "it does not know the token: see CONSUL_HTTP_TOKEN and CONSUL_HTTP_TOKEN_FILE"
    if _MAY_NOT not in said:  # the fleet's own registry, or whoever stands before Consul, has another reason
        return said.strip()
    return f"{said.strip()}: set CONSUL_HTTP_TOKEN, or CONSUL_HTTP_TOKEN_FILE, to a token with {needed}"


def refused(said: str) -> str:
    """What another 4xx means."""
    if _HTTP_TO_HTTPS in said:
        return "it speaks TLS there: say consul+https://HOST:PORT, or CONSUL_HTTP_ADDR=https://HOST:PORT"
    return said.strip()
