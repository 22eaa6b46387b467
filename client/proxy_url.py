"""Where the proxy is, as people write it."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from tfleet.contract.address import Address, BadAddressError
from tfleet.contract.names import PROXY_PORT

DEFAULT_PROXY: Final = f"http://localhost:{PROXY_PORT}"
_FORMS: Final = "expected HOST:PORT or http://HOST:PORT"
# What people paste: the address of a page instead of the proxy's.
_PAGES: Final = ("/predict", "/worker", "/workers", "/healthz", "/readyz", "/metrics")


class BadProxyError(ValueError):
    """The text is no proxy's address. The message is one line that says what was expected."""


def parse_proxy(text: str) -> str:
    """The base URL, without a trailing slash, of `host:port`, of a bare host or of an http(s) URL.

    A bare host has the fleet's port; a URL without a port has its scheme's, as everywhere. A path is kept and
    goes before that of each request, for a proxy behind another one; that of a page of the proxy's own is
    refused. Raises BadProxyError.
    """
    stripped = text.strip()
    if "://" not in stripped:
        try:
            return Address.parse(stripped.rstrip("/"), default_port=PROXY_PORT).url
        except BadAddressError as error:
            raise BadProxyError(f"{text!r} is not a proxy's address: {_FORMS}") from error
    try:
        parts = urlsplit(stripped)
        port = parts.port
    except ValueError as error:  # a port that is no number, brackets that do not close
        raise BadProxyError(f"{text!r} is not a proxy's address ({error}): {_FORMS}") from error
    if parts.scheme not in {"http", "https"}:
        raise BadProxyError(f"{text!r} is neither http nor https: {_FORMS}")
    if not parts.hostname or port == 0 or any(c.isspace() for c in parts.netloc):
        raise BadProxyError(f"{text!r} is not a proxy's address: {_FORMS}")
    if "@" in parts.netloc or parts.query or parts.fragment:
        # The URL is shown in messages, where a password must not be; a query would not reach /predict.
        raise BadProxyError(f"the proxy's address takes no user name, query or fragment: {_FORMS}")
    path = parts.path.rstrip("/")
    if path.endswith(_PAGES):
        page = path.rpartition("/")[2]
        base = f"{parts.scheme}://{parts.netloc}{path.removesuffix(f'/{page}')}"
        raise BadProxyError(f"{text!r} is the address of a page: without /{page} it is the proxy's, {base}")
    return f"{parts.scheme}://{parts.netloc}{path}"
