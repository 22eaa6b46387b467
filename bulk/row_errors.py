"""The texts of `_error`, and the reasons that they are counted by."""

from __future__ import annotations

import re
from typing import Final

from tfleet.worker.api.protocols.problems import place

ERROR_COLUMN: Final = "_error"
NO_VALUE: Final = "no value"
NO_BEST_LABEL: Final = "the model's best score is NaN: no label is the best one"

_ROW_0: Final = place("", 0).removeprefix(place(""))
_VALUE: Final = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"|(?<![\w.])[-+]?\d[\w.+-]*")
_PLACE: Final = re.compile(
    r"(?P<place>(?:column|input) (?:'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"))(?P<at>[^:]*): "
)


def without_row(text: str) -> str:
    """The error of a row that was decoded alone, without its number there, which is always 0."""
    return text.replace(_ROW_0, "", 1)


def reason(text: str) -> str:
    """What an error is counted by: its text with its column's name, and with `…` for values and numbers."""
    found = _PLACE.match(text)
    if found is None:
        return _VALUE.sub("…", text)
    return f"{found['place']}: {_VALUE.sub('…', text[found.end() :])}"
