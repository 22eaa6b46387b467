"""What `--model` names: a path, or a URL."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import click

_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


@dataclass(frozen=True, slots=True, repr=False)
class ModelUrl:
    """A URL as it was given. It may hold a password or a signed query, so only `shown` is for people."""

    url: str

    def __str__(self) -> str:
        return self.url

    @property
    def shown(self) -> str:
        """The URL without user, password, query and fragment."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


class ModelPath(click.ParamType[Path | ModelUrl]):
    """The value of `--model`: a `Path`, or a `ModelUrl` where it begins with a scheme and `://`."""

    name = "path"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> Path | ModelUrl:
        if isinstance(value, str):
            return ModelUrl(value) if _SCHEME.match(value) else Path(value)
        return value  # type: ignore[no-any-return] # a default, which is one of the two already
