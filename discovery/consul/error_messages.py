"""Why a TLS connection to the registry failed, and what to set.

Why a request failed, in words that help.

Why a Consul said no, and what to set.
"""

from __future__ import annotations

import ssl
from typing import Final

import requests

# X509_V_ERR_... of OpenSSL's x509_vfy.h.
_NOT_YET_VALID: Final = 9
_EXPIRED: Final = 10
_UNKNOWN_CA: Final = {2, 18, 19, 20, 21}
_ANOTHER_NAME: Final = {62, 64}

_NO_TLS: Final = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
# What Go says, by its version, to a client without a certificate or with one that it does not believe.
_CLIENT_CERT: Final = (
    "ALERT_BAD_CERTIFICATE",
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_UNKNOWN_CA",
    "ALERT_HANDSHAKE_FAILURE",
)
_WANTS: Final = (
    "wants a certificate of a CA that it believes from whoever asks: set CONSUL_CLIENT_CERT and "
    "CONSUL_CLIENT_KEY"
)


def tls_trouble(error: BaseException) -> str:
    """What to tell of an error that comes from TLS, whatever it is wrapped in; empty for any other."""
    cause: BaseException | None = error
    while cause is not None:
        inner = _inner(cause)
        # aiohttp's own errors call themselves Python's, and know nothing of what those know.
        if isinstance(cause, ssl.SSLError) and not isinstance(inner, ssl.SSLError):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return _of_its_certificate(cause)
            return _of_the_connection(cause)
        cause = inner
    return ""


def _inner(error: BaseException) -> BaseException | None:
    """What it comes from; urllib3 puts that among the arguments."""
    found = error.__cause__ or error.__context__ or next(iter(error.args), None)
    return found if isinstance(found, BaseException) else None


def _of_its_certificate(error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired: it needs a new one"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet: compare the clocks"
    if code in _UNKNOWN_CA:
        return "its certificate is of no CA that is believed here: set CONSUL_CACERT to the file of its CA"
    said = error.verify_message.rstrip(".")
    if code in _ANOTHER_NAME:
        return (
            f"its certificate is for another name ({said}): set CONSUL_TLS_SERVER_NAME to a name that it is "
            "for, say server.dc1.consul"
        )
    return f"its certificate can't be believed: {said}"


def _of_the_connection(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLEOFError):
        return f"it broke off the TLS connection, as it does where it {_WANTS}"
    said = error.reason or str(error)
    if said in _NO_TLS:
        return "it speaks no TLS there: name its HTTPS port, or consul:// instead of consul+https://"
    if said.endswith(_CLIENT_CERT):
        return f"it {_WANTS} ({said.replace('_', ' ').lower()})"
    return f"TLS failed: {said.replace('_', ' ').lower()}"


def reason(error: requests.RequestException) -> str:
    """The operating system's word for it, which requests and urllib3 wrap in errors of their own; or what is
    wrong with TLS.
    """
    if trouble := tls_trouble(error):
        return trouble
    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
        if isinstance(cause, OSError):
            return cause.strerror or str(cause)
    return str(cause) or type(cause).__name__


_UNKNOWN_TOKEN: Final = "ACL not found"  # noqa: S105 - Consul's words for a token that it does not know
_EMBEDDED: Final = ("--allow-host", "--registry-token-file")
_MAY_NOT: Final = "Permission denied"
_ANYTHING: Final = "the permissions of docs/how-to/consul-in-production.md"
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
