"""What can go wrong with a registry, named for what the caller will do about it."""

from __future__ import annotations

from enum import StrEnum


class RegistryError(Exception):
    """The registry did not do what it was asked. The message is one line for the log."""


class RegistryUnavailableError(RegistryError):
    """No answer, a time-out, an answer of 5xx or one that is not what Consul says: try again later."""


class RegistryRefusedError(RegistryError):
    """The registry understood and said no (4xx, an ACL): trying the same again will not help."""


class AddressHeldError(RegistryError):
    """Another worker is registered at our address, and lives there: advertise another address."""


class Loss(StrEnum):
    """How a registration was lost, in the words of the metrics."""

    FORGOTTEN = "forgotten"
    """The agent does not know it: it lost its state, or gave us up after a partition."""

    UNLISTED = "unlisted"
    """The agent knows it, but the catalog that everybody reads does not list it."""

    NOT_PASSING = "not-passing"
    """The catalog lists it as ill, although the agent takes our heartbeats."""


class RegistrationLostError(RegistryError):
    """The registry no longer says of a worker what the worker says of itself: register again."""

    def __init__(self, loss: Loss, message: str) -> None:
        super().__init__(message)
        self.loss = loss
