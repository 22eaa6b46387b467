"""`model_version_policy` of TensorFlow Serving, and `version_policy` of Triton: the same message."""

from __future__ import annotations

from tfleet.deploy.local.repository.text_format import TextFields, TextFormatError
from tfleet.deploy.local.repository.values import VersionPolicy


def read_policy(message: TextFields) -> VersionPolicy:
    """The policy that a message describes: `latest`, `all` or `specific`. Raises TextFormatError."""
    latest, every, specific = map(message.message, ("latest", "all", "specific"))
    message.end()
    if sum(each is not None for each in (latest, every, specific)) != 1:
        raise TextFormatError("a version policy has one of latest, all and specific")
    if latest is not None:
        number = latest.integer("num_versions")
        latest.end()
        return VersionPolicy(latest=number or 1)
    if specific is not None:
        versions = specific.integers("versions")
        specific.end()
        if not versions:
            raise TextFormatError("specific names no versions")
        return VersionPolicy(latest=None, specific=frozenset(map(str, versions)))
    if every is not None:
        every.end()
    return VersionPolicy(latest=None)
