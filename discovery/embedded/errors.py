"""The registry's errors: an HTTP status and a line of text, as in Consul."""

from __future__ import annotations

import json


class RefusedRequestError(Exception):
    """The request is rejected. `status` is the HTTP status, the message is the body."""

    status = 400


class UnknownServiceError(RefusedRequestError):
    """The requested service is not registered."""

    status = 404

    def __init__(self, service_id: str) -> None:
        super().__init__(f"unknown service ID: {service_id}")


class NotRegisteredError(RefusedRequestError):
    """The service for a maintenance request is not registered."""

    status = 404

    def __init__(self, service_id: str) -> None:
        super().__init__(f"No service registered with ID {json.dumps(service_id)}")


class SlowBodyError(RefusedRequestError):
    """The body was not received in time."""

    status = 408

    def __init__(self, timeout_s: float) -> None:
        super().__init__(f"the body took more than {timeout_s:g} s")


class UnknownCheckError(RefusedRequestError):
    """A heartbeat for an unknown check. Consul 1.8 answers 500 with this text."""

    status = 500

    def __init__(self, check_id: str) -> None:
        super().__init__(f'CheckID "{check_id}" does not have associated TTL')


class IncompleteError(RefusedRequestError):
    """A deregistration without an id: 500 in Consul, too."""

    status = 500


class BadNumberError(RefusedRequestError):
    """An option is no number of 64 bits. Consul 1.8 answers 500 with the text of Go's ParseUint."""

    status = 500

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(f"strconv.ParseUint: parsing {json.dumps(text[:40])}: {reason}")


class WrongDatacenterError(RefusedRequestError):
    """The request names another datacenter: 500 in Consul, too."""

    status = 500

    def __init__(self) -> None:
        super().__init__("No path to datacenter")


class FullError(RefusedRequestError):
    """A limit of the whole registry is reached: there may be room again later."""

    status = 503


class ForeignError(RefusedRequestError):
    """A request that a web page of another site sent, or may have sent."""

    status = 403
