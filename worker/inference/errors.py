"""Why a run fails that could succeed with other inputs."""

from __future__ import annotations


class BadInputError(Exception):
    """The inputs do not fit the signature, or the model rejects their values. The message is one line for
    the client.
    """


class OversizedRunError(BadInputError):
    """A run with these inputs needs more memory than there is. The message is one line for the client."""


class UnknownSignatureError(Exception):
    """The model has no such signature. The message is one line for the client, and names those there are."""
