"""The proxy's front page: a short text with lines to paste, for the models that the fleet has. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from tfleet.discovery.instance import Instance

_IMAGE: Final = "image"
_MOST_NAMED: Final = 5
_PLAIN: Final = re.compile(r"[A-Za-z0-9._%-]{1,100}")
"""A name that is safe in a line for a shell: whoever registers a worker chooses it."""


_OTHER_CLIENTS: Final = """\
Clients of TensorFlow Serving (/v1), Triton and KServe (/v2) take the address of this proxy.
"""


@dataclass(frozen=True, slots=True)
class ServedModels:
    """What a fleet serves, as far as its registrations say.

    `images` is whether a model takes images, or may: a static list says nothing of models. `others` are the
    names of models of other kinds.
    """

    images: bool = True
    others: tuple[str, ...] = ()


def served_models(instances: Iterable[Instance]) -> ServedModels:
    """The models of these workers."""
    every = list(instances)
    others = {each.model for each in every if each.kind not in {_IMAGE, ""} and _PLAIN.fullmatch(each.model)}
    images = not every or any(each.kind in {_IMAGE, ""} for each in every)
    return ServedModels(images, tuple(sorted(others)))


def help_page(host: str, served: ServedModels, *, p2p: bool = False, for_operators: bool = True) -> str:
    """The page. `host` is how the client reached the proxy; in p2p mode it redirects what is for a worker."""
    parts = [
        "This is the proxy of a tfleet. In p2p mode it names workers, and redirects requests to them.\n"
        if p2p
        else "This is the proxy of a tfleet. It passes requests on to its workers.\n"
    ]
    if served.images:
        parts.append(_images(host, p2p=p2p))
    parts.append(_rows(host, served, p2p=p2p))
    parts.append(_OTHER_CLIENTS)
    if served.images and not p2p:
        parts.append(_past_the_proxy(host))
    parts.append(_paths(for_operators=for_operators))
    return "\n".join(parts)


def _images(host: str, *, p2p: bool) -> str:
    if p2p:
        return f"""\
Classify an image:

  curl -v -XPOST $(curl -s {host}/worker) -F "data=@cat.jpg"
  curl -L -F image=@cat.jpg 'http://{host}/predict'
"""
    return f"""\
Classify an image:

  curl -v -XPOST {host} -F "data=@cat.jpg"
  curl -X POST -F image=@cat.jpg 'http://{host}/predict'
"""


def _rows(host: str, served: ServedModels, *, p2p: bool) -> str:
    curl = "curl -L" if p2p else "curl"
    names = served.others[:_MOST_NAMED] or ("NAME",)
    pages = "".join(f"  {curl} {host}/models/{name}\n" for name in names)
    which = "Models of other kinds take" if served.images else "The models take"
    return f"""\
{which} rows or tensors. See which there are, what they take, and a line to paste:

  {curl} {host}/models
{pages}
A row of a table by its columns, or rows as JSON (CSV, Arrow and NumPy's files work as well):

  {curl} 'http://{host}/predict?COLUMN=1&OTHER=2'
  {curl} 'http://{host}/predict' -H 'Content-Type: application/json' -d '[{{"COLUMN": 1, "OTHER": 2}}]'
  {curl} 'http://{host}/models/{names[0]}/predict?COLUMN=1&OTHER=2'
"""


def _past_the_proxy(host: str) -> str:
    return f"""\
Or ask for a worker and send an image there, past the proxy:

  curl -v -XPOST $(curl -s {host}/worker) -F "data=@cat.jpg"
"""


def _paths(*, for_operators: bool) -> str:
    top = (
        "?top=N            how many labels, best first\n"
        "GET /openapi.json all paths, for programs; /v1 as TensorFlow Serving, /v2 as Triton\n"
    )
    if not for_operators:
        return f"{top}GET /healthz, /readyz\n"
    return f"{top}GET /workers      the workers and how they are\nGET /healthz, /readyz, /metrics\n"
