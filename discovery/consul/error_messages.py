"""Explains errors of requests to a Consul: TLS failures, lost connections, and 4xx answers, with
what to set.
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

_NOT_TLS: Final = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
# TLS alerts of Go's versions to a client without a certificate, or with an untrusted one.
_CLIENT_CERT: Final = (
    "ALERT_BAD_CERTIFICATE",
    "ALERT_CERTIFICATE_REQUIRED",
    "ALERT_CERTIFICATE_EXPIRED",
    "ALERT_UNKNOWN_CA",
    "ALERT_HANDSHAKE_FAILURE",
)
_REQUIRES_CLIENT_CERT: Final = (
    "requires a client certificate from a CA that it trusts: set CONSUL_CLIENT_CERT and CONSUL_CLIENT_KEY"
)


def explain_tls_error(error: BaseException) -> str:
    """Explain an error that was caused by TLS, however it is wrapped; empty for any other error."""
    cause: BaseException | None = error
    while cause is not None:
        inner = _inner(cause)
        # aiohttp's errors inherit from ssl.SSLError without its fields: look for the innermost one.
        if isinstance(cause, ssl.SSLError) and not isinstance(inner, ssl.SSLError):
            if isinstance(cause, ssl.SSLCertVerificationError):
                return _certificate_error(cause)
            return _connection_error(cause)
        cause = inner
    return ""


def _inner(error: BaseException) -> BaseException | None:
    """Return the error's cause; urllib3 puts it into the arguments."""
    found = error.__cause__ or error.__context__ or next(iter(error.args), None)
    return found if isinstance(found, BaseException) else None


def _certificate_error(error: ssl.SSLCertVerificationError) -> str:
    code = error.verify_code
    if code == _EXPIRED:
        return "its certificate has expired: renew it"
    if code == _NOT_YET_VALID:
        return "its certificate is not valid yet: compare the clocks"
    if code in _UNKNOWN_CA:
        return "its certificate is from an untrusted CA: set CONSUL_CACERT to the file of its CA"
    said = error.verify_message.rstrip(".")
    if code in _ANOTHER_NAME:
        return (
            f"its certificate is for another name ({said}): set CONSUL_TLS_SERVER_NAME to a name in it, "
            "for example server.dc1.consul"
        )
    return f"its certificate is not trusted: {said}"


def _connection_error(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLEOFError):
        return f"it closed the TLS connection, perhaps because it {_REQUIRES_CLIENT_CERT}"
    said = error.reason or str(error)
    if said in _NOT_TLS:
        return "it does not speak TLS there: use its HTTPS port, or consul:// instead of consul+https://"
    if said.endswith(_CLIENT_CERT):
        return f"it {_REQUIRES_CLIENT_CERT} ({said.replace('_', ' ').lower()})"
    return f"TLS failed: {said.replace('_', ' ').lower()}"


def request_error(error: requests.RequestException) -> str:
    """Return the operating system's error inside those of requests and urllib3; or explain the TLS error."""
    if explanation := explain_tls_error(error):
        return explanation
    cause: BaseException = error
    while inner := cause.__cause__ or cause.__context__:
        cause = inner
        if isinstance(cause, OSError):
            return cause.strerror or str(cause)
    return str(cause) or type(cause).__name__


_UNKNOWN_TOKEN: Final = "ACL not found"  # noqa: S105 - Consul's text for an unknown token
_EMBEDDED_OPTIONS: Final = ("--allow-host", "--registry-token-file")
_PERMISSION_DENIED: Final = "Permission denied"
_ALL_PERMISSIONS: Final = "the permissions of docs/how-to/consul-in-production.md"
_HTTP_TO_HTTPS: Final = "HTTP request to an HTTPS server"


def explain_denied(said: str, needed: str = _ALL_PERMISSIONS) -> str:
    """Explain a 403, given its text and the ACL rules that the token needs."""
    if any(option in said for option in _EMBEDDED_OPTIONS):  # the embedded registry's texts say what to do
        return said.strip()
    if _UNKNOWN_TOKEN in said:
        return "it does not know the token: check CONSUL_HTTP_TOKEN and CONSUL_HTTP_TOKEN_FILE"
    if _PERMISSION_DENIED not in said:  # from the embedded registry, or from a gateway before Consul
        return said.strip()
    return f"{said.strip()}: set CONSUL_HTTP_TOKEN, or CONSUL_HTTP_TOKEN_FILE, to a token with {needed}"


def explain_rejected(said: str) -> str:
    """Explain another 4xx, given its text."""
    if _HTTP_TO_HTTPS in said:
        return "it requires TLS there: use consul+https://HOST:PORT, or CONSUL_HTTP_ADDR=https://HOST:PORT"
    return said.strip()
