"""What TensorFlow Serving's REST API says about a fleet: its models, and the state of their versions.

`GET /v1/models` is KServe's, TensorFlow Serving has no such list.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfleet.contract.identifiers import version_of_folder
from tfleet.contract.problem import ProblemError
from tfleet.discovery.plan import labels_of
from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.admin.version_states import ServingState, VersionStatus
from tfleet.proxy.balancing.versions import (
    PLANS_UNREAD,
    Wanted,
    unknown_label,
    unknown_model,
    unknown_version,
)


def models_page(statuses: Sequence[VersionStatus]) -> dict[str, Any]:
    """`GET /v1/models`: the names."""
    return {"models": list(dict.fromkeys(status.model for status in statuses))}


def status_page(statuses: Sequence[VersionStatus], plans: Plans, wanted: Wanted) -> dict[str, Any]:
    """`GET /v1/models/M`: the state of all versions, or of the one that is named.

    `ready` is what KServe's clients read. Raises ProblemError: 404 for a model or version that there is not,
    400 for such a label, 503 for a label while the plans have not been read.
    """
    found = named(statuses, plans, wanted)
    return {
        "model_version_status": [_version(status) for status in found],
        "ready": any(status.state is ServingState.AVAILABLE for status in found),
    }


def named(statuses: Sequence[VersionStatus], plans: Plans, wanted: Wanted) -> list[VersionStatus]:
    """Those that a request names. Raises ProblemError."""
    if wanted.label is not None and not plans.read:
        raise ProblemError(PLANS_UNREAD)
    model = wanted.model or ""
    found = [status for status in statuses if status.model == model]
    if not found:
        raise ProblemError(unknown_model(model, {status.model for status in statuses}))
    if wanted.label is not None:
        plan = plans.models.get(model)
        labels = {} if plan is None else labels_of(plan)
        if wanted.label not in labels:
            raise ProblemError(unknown_label(model, wanted, labels))
        return [status for status in found if status.version == labels[wanted.label]]
    if wanted.version is None:
        return found
    versions = [status for status in found if wanted.has_version(status.version)]
    if not versions:
        raise ProblemError(unknown_version(model, wanted.version, {status.version for status in found}))
    return versions


def _version(status: VersionStatus) -> dict[str, Any]:
    message = status.reason if status.state is ServingState.END else ""
    return {
        "version": version_of_folder(status.version),
        "state": status.state,
        "status": {"error_code": status.error_code, "error_message": message},
    }
