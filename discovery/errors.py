"""What can go wrong with a registry, named for what the caller will do about it."""

from __future__ import annotations


class RegistryError(Exception):
    """The registry did not do what it was asked. The message is one line for the log."""


class RegistryUnavailableError(RegistryError):
    """No answer, a time-out, an answer of 5xx or one that is not what Consul says: try again later."""


class RegistryRefusedError(RegistryError):
    """The registry understood and said no (4xx, an ACL): trying the same again will not help."""


class UnknownServiceError(RegistryError):
    """The registry does not know this registration (any more): register again."""
