"""Why a request over aiohttp got no answer, in a few plain words.

aiohttp's own texts name host and port a second time, and classes and arguments of its code.
"""

from __future__ import annotations

import os
import re
import ssl
from typing import Final

import aiohttp

_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
# OpenSSL's names for bytes that are no TLS; which of them comes is a matter of its version.
_NO_TLS: Final = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG"}
_CLOSED: Final = "it closed the connection without an answer"
# The first that fits.
_WORDS: Final = (
    (aiohttp.SocketTimeoutError, "it took too long to answer"),
    (aiohttp.ServerTimeoutError, "it took too long to connect"),
    (aiohttp.ClientConnectionResetError, _CLOSED),
    (aiohttp.ClientPayloadError, "the answer was cut short"),
    (aiohttp.ClientResponseError, "it does not answer as HTTP does"),
    (aiohttp.InvalidURL, "its address can't be used"),
)


def plain_reason(error: BaseException) -> str:
    """One line without the address, as in `connection refused`."""
    cause = _of_the_system(error)
    if isinstance(cause, ssl.SSLError):
        return _of_tls(cause)
    if words := next((words for kind, words in _WORDS if isinstance(error, kind)), ""):
        return words
    if isinstance(cause, OSError):
        return _of_os(cause)
    if isinstance(error, aiohttp.ClientError):
        return _CLOSED
    return " ".join(str(error).split()) or type(error).__name__


def speaks_no_tls(error: BaseException) -> bool:
    """Whether TLS was tried where something else is spoken, however the error is wrapped."""
    cause: BaseException | None = error
    while cause is not None:
        of_system = _of_the_system(cause)
        if isinstance(of_system, ssl.SSLError) and of_system.reason in _NO_TLS:
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def _of_the_system(error: BaseException) -> BaseException:
    """What aiohttp has wrapped. Its errors call themselves OSError and SSLError, and know nothing."""
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return error.certificate_error
    return error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error


def _of_tls(error: ssl.SSLError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate can't be believed: {error.verify_message.rstrip('.')}"
    if error.reason in _NO_TLS:
        return "it speaks no TLS"
    return f"TLS failed: {(error.reason or str(error)).replace('_', ' ').lower()}"


def _of_os(error: OSError) -> str:
    # All the addresses of a name failed: one error with the text of each in its message.
    numbers = set(_ERRNO.findall(str(error)))
    if error.errno is None and len(numbers) == 1:
        return os.strerror(int(numbers.pop())).lower()
    if error.errno is not None and error.errno > 0:
        return os.strerror(error.errno).lower()
    if isinstance(error, TimeoutError):
        return "it took too long to answer"
    return (error.strerror or str(error)).lower() or type(error).__name__
