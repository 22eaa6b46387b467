"""The manifest of an output folder: what the run was asked, of which model and inputs. No I/O.

The parts name the run that they belong to in their own footers. So a part is done when its file has its name,
and no second file has to be written at the same time. The manifest gets the list of parts when all are there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from tfleet.bulk.digest import document_digest
from tfleet.bulk.sources.files import InputDigest

MANIFEST: Final = "_manifest.json"
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class RunPlan:
    """All that the output depends on. `model` says which one it is, and has a digest of it."""

    model: Mapping[str, Any]
    inputs: Sequence[InputDigest] = field(repr=False)
    settings: Mapping[str, Any]

    @property
    def id(self) -> str:
        """The digest of the plan: two runs with the same one write the same parts."""
        return document_digest(self._identity())

    def document(self) -> dict[str, Any]:
        """The manifest while parts are missing."""
        inputs = [{"name": each.name, "bytes": each.bytes, "sha256": each.sha256} for each in self.inputs]
        return {
            "manifest": _VERSION,
            "run": self.id,
            "complete": False,
            "model": dict(self.model),
            "inputs": inputs,
            "settings": dict(self.settings),
        }

    def _identity(self) -> dict[str, Any]:
        return {
            "model": self.model.get("sha256", self.model),
            "inputs": [[each.bytes, each.sha256] for each in self.inputs],
            "settings": dict(self.settings),
        }


def difference(manifest: Mapping[str, Any], plan: RunPlan) -> str | None:
    """Why this plan cannot go on with the run of a manifest; None if it can."""
    if manifest.get("run") == plan.id:
        return None
    ours = plan.document()
    before, now = manifest.get("model", {}), ours["model"]
    if before.get("sha256", before) != now.get("sha256", now):
        return "the model is another one, or has changed"
    inputs = [(each.get("bytes"), each.get("sha256")) for each in manifest.get("inputs", ())]
    if len(inputs) != len(ours["inputs"]):
        return f"the input had {len(inputs)} files, and has {len(ours['inputs'])}"
    for each, found in zip(ours["inputs"], inputs, strict=True):
        if (each["bytes"], each["sha256"]) != found:
            return f"{each['name']} has changed, or is another file"
    settings = manifest.get("settings", {})
    changed = [name for name, value in ours["settings"].items() if settings.get(name) != value]
    if changed:
        return f"{changed[0]} was {settings.get(changed[0])!r}, and is {ours['settings'][changed[0]]!r}"
    return "another version of tfleet has written it"
