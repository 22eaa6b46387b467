"""Why a request failed, in words that help."""

from __future__ import annotations

import requests

from tfleet.discovery.tls_trouble import tls_trouble


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
