"""The addresses in `--jobs`: which Redis they name, and how they are shown without their passwords."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, urlsplit

from tfleet.jobs.errors import BadJobsOptionError

_SCHEMES: Final = ("redis", "rediss", "unix")
_DATABASE: Final = re.compile(r"/?|/[0-9]{1,4}")
_OPTIONS: Final = frozenset(
    ("ssl_ca_certs", "ssl_cert_reqs", "ssl_certfile", "ssl_check_hostname", "ssl_keyfile")
)
"""Of redis-py's options in a URL those for TLS: others would change how we use it."""
_MOST_SHARDS: Final = 16
_EXPECTED: Final = "expected redis://[USER:PASSWORD@]HOST[:PORT][/DATABASE], rediss://... or unix:///PATH"


@dataclass(frozen=True, slots=True)
class RedisUrl:
    """The address of one Redis. `text` may hold a password; `str` of it does not."""

    text: str
    shown: str

    @property
    def is_unix(self) -> bool:
        """Whether it names a socket in the file system."""
        return self.shown.startswith("unix:")

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"<RedisUrl {self.shown}>"


def read_redis_urls(text: str) -> tuple[RedisUrl, ...]:
    """Read addresses with commas between them. Raises BadJobsOptionError."""
    urls = tuple(_read(one.strip()) for one in text.split(","))
    if len(urls) > _MOST_SHARDS:
        raise BadJobsOptionError(f"{len(urls)} addresses are too many: {_MOST_SHARDS} are allowed")
    shown = [url.shown for url in urls]
    if len(set(shown)) < len(shown):
        raise BadJobsOptionError("the same Redis is named twice: each one is a shard of its own")
    return urls


def _read(text: str) -> RedisUrl:
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise BadJobsOptionError(f"an address can't be read: {_EXPECTED}") from None
    unknown = {name for name, _ in parse_qsl(parts.query, keep_blank_values=True)} - _OPTIONS
    if unknown or (parts.query and parts.scheme != "rediss"):
        raise BadJobsOptionError(
            f"an address may have the options {', '.join(sorted(_OPTIONS))}, with rediss only"
        )
    # The text itself is not shown: it may hold a password.
    if parts.scheme not in _SCHEMES:
        raise BadJobsOptionError(f"an address begins with none of {', '.join(_SCHEMES)}: {_EXPECTED}")
    if parts.scheme == "unix":
        if not parts.path:
            raise BadJobsOptionError(f"an address names no socket: {_EXPECTED}")
        return RedisUrl(text, f"unix://{parts.path}")
    if not parts.hostname or not _DATABASE.fullmatch(parts.path) or parts.fragment:
        raise BadJobsOptionError(f"an address names no host, or no database by its number: {_EXPECTED}")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    database = "" if parts.path in {"", "/", "/0"} else parts.path
    return RedisUrl(text, f"{parts.scheme}://{host}:{port or 6379}{database}")
