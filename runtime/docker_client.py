"""A client of Docker's SDK that ignores HTTP_PROXY.

HTTP_PROXY and similar variables are for outside requests. The SDK would send engine requests through that
proxy, and would trust whatever the proxy answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, Final

_ANY_VERSION: Final = "1.24"  # the API version for the request that asks for the real one


@contextmanager
def engine_client(*, timeout_s: float, **options: Any) -> Iterator[Any]:
    """Open a docker.DockerClient for the engine of DOCKER_HOST and similar variables; `options` are passed to
    the SDK.

    Raises ModuleNotFoundError if the SDK is missing, the SDK's own errors, and LookupError, TypeError or
    ValueError if the server is not a Docker engine.
    """
    # With version="auto" the SDK asks for the version in its constructor, before trust_env can be set; and if
    # that request fails it leaves its socket open.
    with _made(_ANY_VERSION, timeout_s, options) as client:
        version = client.api.version(api_version=False)["ApiVersion"]
    with _made(version, timeout_s, options) as client:
        yield client


@contextmanager
def _made(version: str, timeout_s: float, options: dict[str, Any]) -> Iterator[Any]:
    import docker  # noqa: PLC0415 - an extra: only commands that talk to an engine need it

    with closing(docker.from_env(version=version, timeout=timeout_s, **options)) as client:
        client.api.trust_env = False
        yield client
