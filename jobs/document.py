"""A job as JSON, for callers and operators."""

from __future__ import annotations

from datetime import UTC, datetime

from tfleet.jobs.job import JobRecord
from tfleet.jobs.job_id import id_prefix


def job_document(record: JobRecord) -> dict[str, object]:
    """What is known of a job, without its body and answer."""
    moments = record.moments
    return {
        "id": record.id,
        "state": record.state.value,
        "model": record.target.model,
        "version": record.target.version,
        "submitted": _time(moments.submitted_ms),
        "deadline": _time(moments.deadline_ms),
        "body_bytes": record.body_bytes,
        **({"worker": record.delivery.worker} if record.delivery.worker else {}),
        **({"deliveries": record.delivery.count} if record.delivery.count else {}),
        **({"reason": record.reason} if record.reason else {}),
    }


def listed_document(record: JobRecord) -> dict[str, object]:
    """The same without the id, which would open the answer: only what it begins with."""
    document = job_document(record)
    return {"id_prefix": id_prefix(str(document.pop("id"))), **document}


def _time(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
