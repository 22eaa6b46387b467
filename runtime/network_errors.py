"""Short descriptions of network errors raised by aiohttp.

aiohttp's own texts repeat host and port, and contain names of classes and their arguments.
"""

from __future__ import annotations

import os
import re
import ssl
from typing import Final

import aiohttp

_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
# OpenSSL's reasons when the other side does not speak TLS; they differ between its versions.
_NOT_TLS: Final = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
_CLOSED: Final = "it closed the connection without a response"
# The first matching class wins.
_DESCRIPTIONS: Final = (
    (aiohttp.SocketTimeoutError, "the response timed out"),
    (aiohttp.ServerTimeoutError, "the connection timed out"),
    (aiohttp.ClientConnectionResetError, _CLOSED),
    (aiohttp.ClientPayloadError, "the response was cut off"),
    (aiohttp.ClientResponseError, "the response is not valid HTTP"),
    (aiohttp.InvalidURL, "the address is invalid"),
)


def plain_reason(error: BaseException) -> str:
    """Describe the error in one line without the address, for example `connection refused`."""
    cause = _unwrapped(error)
    if isinstance(cause, ssl.SSLError):
        return _tls_reason(cause)
    if words := next((words for kind, words in _DESCRIPTIONS if isinstance(error, kind)), ""):
        return words
    if isinstance(cause, OSError):
        return _os_reason(cause)
    if isinstance(error, aiohttp.ClientError):
        return _CLOSED
    return " ".join(str(error).split()) or type(error).__name__


def speaks_no_tls(error: BaseException) -> bool:
    """Whether TLS was tried with a server that does not speak it, however the error is wrapped."""
    cause: BaseException | None = error
    while cause is not None:
        inner = _unwrapped(cause)
        if isinstance(inner, ssl.SSLError) and inner.reason in _NOT_TLS:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _unwrapped(error: BaseException) -> BaseException:
    """Return the system's error inside aiohttp's. Some of aiohttp's errors inherit OSError or SSLError
    without its fields.
    """
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    return error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error


def _tls_reason(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message.rstrip('.')}"
    if error.reason in _NOT_TLS:
        return "it does not speak TLS"
    return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"


def _os_reason(error: OSError) -> str:
    # All addresses of a name failed: asyncio raises one error without errno, with all texts in its message.
    numbers = set(_ERRNO.findall(str(error)))
    if error.errno is None and len(numbers) == 1:
        return os.strerror(int(numbers.pop())).lower()
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    if isinstance(error, TimeoutError):
        return "the response timed out"
    return (error.strerror or str(error)).lower() or type(error).__name__
