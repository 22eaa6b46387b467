"""How the registry says no: an HTTP status and a line of text, which is all that Consul's errors are."""

from __future__ import annotations

import json


class RefusedRequestError(Exception):
    """A request that cannot be done. `status` is the HTTP status, the message is the body."""

    status = 400


class UnknownServiceError(RefusedRequestError):
    """A question about a service that is not registered."""

    status = 404

    def __init__(self, service_id: str) -> None:
        super().__init__(f"unknown service ID: {service_id}")


class NotRegisteredError(RefusedRequestError):
    """A service that is not registered is to be put into maintenance, or taken out of it."""

    status = 404

    def __init__(self, service_id: str) -> None:
        super().__init__(f"No service registered with ID {json.dumps(service_id)}")


class SlowBodyError(RefusedRequestError):
    """The body did not come in time."""

    status = 408

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"the body took more than {timeout_s:g} s")


class UnknownCheckError(RefusedRequestError):
    """A heartbeat for a check that nobody registered. Consul 1.8 says 500 to it, in these words."""

    status = 500

    def __init__(self, check_id: str) -> None:
        super().__init__(f'CheckID "{check_id}" does not have associated TTL')


class IncompleteError(RefusedRequestError):
    """A deregistration that does not say of what: 500 in Consul, too."""

    status = 500


class WrongDatacenterError(RefusedRequestError):
    """There is one datacenter here, and the request named another: 500 in Consul, too."""

    status = 500

    def __init__(self) -> None:
        super().__init__("No path to datacenter")


class FullError(RefusedRequestError):
    """A limit of the registry as a whole is reached: it may have room again later."""

    status = 503


class ForeignError(RefusedRequestError):
    """A request that another site's web page has sent, or may have sent."""

    status = 403
