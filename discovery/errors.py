"""Errors of the registry, named for what the caller does about them."""

from __future__ import annotations

from enum import StrEnum


class RegistryError(Exception):
    """The registry did not do what was requested. The message is one line for the log."""


class RegistryUnavailableError(RegistryError):
    """No answer, a time-out, a 5xx, or an answer that Consul does not give: try again later."""


class RegistryRefusedError(RegistryError):
    """The registry rejected the request (4xx, an ACL): repeating it does not help."""


class AddressHeldError(RegistryError):
    """Another live instance is registered at this address: advertise another address."""


class Loss(StrEnum):
    """How a registration was lost, in the words of the metrics."""

    FORGOTTEN = "forgotten"
    """The agent does not know the instance: it lost its state, or dropped the instance after a partition."""

    UNLISTED = "unlisted"
    """The agent knows the instance, but the catalog does not list it."""

    NOT_PASSING = "not-passing"
    """The catalog lists it with failing checks, although the agent accepts its heartbeats."""


class RegistrationLostError(RegistryError):
    """The registry does not show the instance as registered and passing: register again."""

    def __init__(self, loss: Loss, message: str) -> None:
        super().__init__(message)
        self.loss = loss
