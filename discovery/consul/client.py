"""py-consul's synchronous client, with what a Consul in production wants beside it.

By itself it knows neither a server's name for TLS nor a CA of one's own from the environment, reads a token
once, and lets CONSUL_HTTP_SSL overrule what `--registry` said.

A call to the registry through py-consul's synchronous client, with its errors told in our own.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any, TypeVar

import consul
import requests
from consul.exceptions import ACLDisabled, ACLPermissionDenied, BadRequest, ClientError, ConsulException
from requests import PreparedRequest
from requests.adapters import HTTPAdapter
from urllib3.exceptions import InsecureRequestWarning

from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access
from tfleet.discovery.consul.credentials import Credentials
from tfleet.discovery.consul.error_messages import denied, reason, refused
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError


class ConsulClient(consul.Consul):  # type: ignore[misc] # it ships no types
    """The client for the registry at an address; `timeout_s` bounds each call."""

    def __init__(self, address: Address, access: Access, *, timeout_s: float) -> None:
        self._credentials = Credentials(access)
        super().__init__(
            address.host, address.port, scheme=access.scheme, verify=True, connections_timeout=timeout_s
        )
        self.http.session.trust_env = False  # an HTTP_PROXY is meant for the world outside
        # Consul sends nobody elsewhere but for a path with `..` or `//` in it, to what that leads to.
        self.http.session.max_redirects = 0
        self.http.session.mount("https://", _TlsAdapter(self._credentials))
        if access.tls is not None and not access.tls.verify:
            # Somebody has asked for it; urllib3 would say so again for each place that makes a request.
            warnings.simplefilter("ignore", InsecureRequestWarning)

    def prepare_headers(self, token: str | None = None) -> dict[str, str]:
        """What py-consul sends with each call."""
        return self._credentials.headers()


class _TlsAdapter(HTTPAdapter):
    """Connections with our own TLS context: new ones as soon as that is a new one."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Where to connect to, and how; the types are private to requests."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        tls = {"ssl_context": self._credentials.context(), "server_hostname": self._credentials.server_name}
        return host, tls

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """All is in the context; requests would add the CAs of its own bundle."""


_T = TypeVar("_T")


def asked(where: str, call: Callable[[], _T], *, needed: str) -> _T:
    """What the call gives. Raises RegistryRefusedError or RegistryUnavailableError.

    `where` is who failed, and `needed` what a token must be allowed to do for the call.
    """
    try:
        return call()
    except ACLPermissionDenied as error:
        raise RegistryRefusedError(f"{where} refuses: {denied(str(error), needed)}") from error
    except (ACLDisabled, BadRequest, ClientError) as error:
        raise RegistryRefusedError(f"{where} refuses: {refused(str(error))}") from error
    except ConsulException as error:
        raise RegistryUnavailableError(f"{where} failed: {error}") from error
    except requests.RequestException as error:
        raise RegistryUnavailableError(f"{where} does not answer: {reason(error)}") from error
    except (LookupError, TypeError, ValueError) as error:  # JSON, but not what Consul says
        raise RegistryUnavailableError(f"{where} does not answer as Consul does: {error}") from error
