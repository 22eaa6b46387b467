"""A call to the registry through py-consul's synchronous client, with its errors told in our own."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import requests
from consul.exceptions import ACLDisabled, ACLPermissionDenied, BadRequest, ClientError, ConsulException

from tfleet.discovery.denial import denied, refused
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError
from tfleet.discovery.reason import reason

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
