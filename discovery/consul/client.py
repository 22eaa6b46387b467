"""py-consul's synchronous client with TLS and token handling for production, and its errors mapped to ours.

On its own, py-consul does not read a TLS server name or a CA from the environment, reads a token only
once, and lets CONSUL_HTTP_SSL override `--registry`.
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
from tfleet.discovery.consul.error_messages import explain_denied, explain_rejected, request_error
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError


class ConsulClient(consul.Consul):  # type: ignore[misc] # it ships no types
    """A client of the registry at an address; `timeout_s` limits each call."""

    def __init__(self, address: Address, access: Access, *, timeout_s: float) -> None:
        self._credentials = Credentials(access)
        super().__init__(
            address.host, address.port, scheme=access.scheme, verify=True, connections_timeout=timeout_s
        )
        self.http.session.trust_env = False  # HTTP_PROXY is for outside requests
        # Consul redirects only paths with `..` or `//`, to what these resolve to: never follow that.
        self.http.session.max_redirects = 0
        self.http.session.mount("https://", _TlsAdapter(self._credentials))
        if access.tls is not None and not access.tls.verify:
            # The operator chose it; urllib3 would warn once for each line of code that sends a request.
            warnings.simplefilter("ignore", InsecureRequestWarning)

    def prepare_headers(self, token: str | None = None) -> dict[str, str]:
        """Return the headers of each call."""
        return self._credentials.headers()


class _TlsAdapter(HTTPAdapter):
    """An HTTP adapter with our own TLS context; a new context means new connections."""

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials
        super().__init__()

    def build_connection_pool_key_attributes(
        self, request: PreparedRequest, verify: Any, cert: Any = None
    ) -> Any:
        """Return where and how to connect; the types are private to requests."""
        host, _ = super().build_connection_pool_key_attributes(request, verify, cert)
        tls = {"ssl_context": self._credentials.context(), "server_hostname": self._credentials.server_name}
        return host, tls

    def cert_verify(self, conn: Any, url: Any, verify: Any, cert: Any) -> None:
        """Do nothing: the context has everything, and requests would add the CAs of its own bundle."""


_T = TypeVar("_T")


def call_registry(where: str, call: Callable[[], _T], *, needed: str) -> _T:
    """Run a call and map its errors. Raises RegistryRefusedError or RegistryUnavailableError.

    `where` names the registry in messages, `needed` the ACL rules that the call's token needs.
    """
    try:
        return call()
    except ACLPermissionDenied as error:
        raise RegistryRefusedError(f"{where} refuses: {explain_denied(str(error), needed)}") from error
    except (ACLDisabled, BadRequest, ClientError) as error:
        raise RegistryRefusedError(f"{where} refuses: {explain_rejected(str(error))}") from error
    except ConsulException as error:
        raise RegistryUnavailableError(f"{where} failed: {error}") from error
    except requests.RequestException as error:
        raise RegistryUnavailableError(f"{where} does not answer: {request_error(error)}") from error
    except (LookupError, TypeError, ValueError) as error:  # JSON, but not Consul's
        raise RegistryUnavailableError(f"{where} does not answer as Consul does: {error}") from error
