"""A client of Docker's SDK that asks the engine itself, whatever HTTP_PROXY says.

A variable such as HTTP_PROXY is meant for the world outside. The SDK would hand it what it asks the engine,
and a proxy that answers in its place would be believed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

_ANY_VERSION: Final = "1.24"  # of the interface; the question for the right one needs none


@contextmanager
def engine_client(*, timeout_s: float, **options: Any) -> Iterator[Any]:
    """A docker.DockerClient for the engine that DOCKER_HOST and the like name; `options` are the SDK's.

    Raises ModuleNotFoundError where the SDK is missing, what the SDK itself raises, and LookupError,
    TypeError or ValueError where what answers is no engine.
    """
    # The SDK would ask for the version while it is made, when nobody could tell it to leave proxies out; and
    # one that gets no answer leaves its socket open.
    with _made(_ANY_VERSION, timeout_s, options) as client:
        version = client.api.version(api_version=False)["ApiVersion"]
    with _made(version, timeout_s, options) as client:
        yield client


@contextmanager
def _made(version: str, timeout_s: float, options: dict[str, Any]) -> Iterator[Any]:
    import docker  # noqa: PLC0415 - an extra: only who asks an engine needs it

    with closing(docker.from_env(version=version, timeout=timeout_s, **options)) as client:
        client.api.trust_env = False
        yield client
