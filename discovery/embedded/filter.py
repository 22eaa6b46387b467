"""The part of Consul's filter language that finds one thing: `SELECTOR == VALUE`, joined by `and`.

https://developer.hashicorp.com/consul/api-docs/features/filtering
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Final

from tfleet.discovery.embedded.errors import RefusedError

_TERM: Final = re.compile(r'\s*([A-Za-z.]+)\s*==\s*(?:"([^"]*)"|([A-Za-z0-9._:/-]+))\s*')
_AND: Final = re.compile(r"and\b")


def parse_filter(text: str, selectors: Collection[str]) -> Mapping[str, str]:
    """Each selector with the value that it has to have; nothing for no filter.

    Raises RefusedError for what can't be obeyed here: to ignore it would be to answer another question.
    """
    wanted: dict[str, str] = {}
    position = 0
    while position < len(text):
        term = _TERM.match(text, position)
        if term is None or term[1] not in selectors or term[1] in wanted:
            raise _refused(selectors)
        wanted[term[1]] = term[3] if term[2] is None else term[2]
        position = term.end()
        if position < len(text):
            joined = _AND.match(text, position)
            if joined is None or joined.end() == len(text):
                raise _refused(selectors)
            position = joined.end()
    return wanted


def _refused(selectors: Collection[str]) -> RefusedError:
    if not selectors:
        return RefusedError("?filter is not supported by the embedded registry")
    forms = " and ".join(f'{selector} == "VALUE"' for selector in selectors)
    return RefusedError(f"?filter: the embedded registry obeys only {forms}, or a part of it")
