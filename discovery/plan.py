"""The plan of a model: which of its versions get requests, and how many. Pure values.

A plan is a JSON document in the registry's key-value store, under `tfleet/SERVICE/models/MODEL`. Operators
write it with `tfleet rollout`, `promote`, `rollback` and `label`, always with check-and-set; proxies follow
it, and write it when they roll a canary back.

    {"stable": "3", "canary": "4", "percent": 10, "mirror": 5, "previous": "2", "labels": {"prod": "3"},
     "sticky": "header:X-Session", "auto_rollback": true, "reason": ""}

The rules:

- `stable` gets all requests but the canary's share: `percent` of those that name no version.
- Of `mirror` percent of the requests that `stable` answers, the canary gets a copy, and nobody its answer.
- `previous` is the version that a rollback without a canary goes back to.
- A plan ends only by `{"deleted": true}`, which `tfleet models --end-plan` writes. A key that has vanished is
  no end: the registry may have lost its state, and without the plan the canary could get all requests.
- A document with a field that this version of tfleet does not know is refused: it may change what the
  others mean.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import quote, unquote

from tfleet.contract.identifiers import escaped, is_label

MAX_PLAN_BYTES: Final = 16 * 1024
MAX_LABELS: Final = 64
STICKY_REQUEST_ID: Final = "request-id"
STICKY_HEADER: Final = "header:"

_ALL: Final = 100
_MAX_HEADER_CHARS: Final = 128
_DELETED: Final = "deleted"
_OF_CANARY: Final = ("percent", "mirror", "auto_rollback")
_SHARES: Final = ("percent", "mirror")
_TYPES: Final[Mapping[str, type]] = {
    **dict.fromkeys(("stable", "canary", "previous", "sticky", "reason"), str),
    **dict.fromkeys(_SHARES, float),
    "auto_rollback": bool,
    "labels": dict,
}
_NAMES: Final = {str: "a text", float: "a number", bool: "true or false"}
_TOKEN_SIGNS: Final = frozenset("!#$%&'*+-.^_`|~")


class BadPlanError(ValueError):
    """The document is no valid plan, or the change makes none. The message is one line."""


@dataclass(frozen=True, slots=True)
class Canary:
    """The new version of a model. It gets `percent` (0 to 100) of the requests that name no version.

    Of `mirror` (0 to 100) percent of those that the stable version answers it gets a copy. With
    `auto_rollback` proxies take it out when it fails.
    """

    version: str
    percent: float = 0.0
    auto_rollback: bool = True
    mirror: float = 0.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One model's plan. An empty text is none.

    `sticky` says which requests stay with one version: `request-id`, `header:NAME`, or none. `reason` is why
    the last canary was rolled back.
    """

    stable: str
    canary: Canary | None = None
    previous: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    sticky: str = ""
    reason: str = ""

    def __post_init__(self) -> None:
        """Raises BadPlanError."""
        if problem := next(_problems(self), None):
            raise BadPlanError(problem)

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions that it names, each once."""
        canary = self.canary.version if self.canary else ""
        named = (self.stable, canary, self.previous, *self.labels.values())
        return tuple(dict.fromkeys(version for version in named if version))


def service_prefix(service: str) -> str:
    """The prefix of all keys of a service."""
    return f"tfleet/{service}/"


def default_key(service: str) -> str:
    """The key of the model that requests without a name are for: a JSON text, empty for none."""
    return f"{service_prefix(service)}default"


def plan_prefix(service: str) -> str:
    """The prefix of the keys of a service's plans."""
    return f"{service_prefix(service)}models/"


def plan_key(service: str, model: str) -> str:
    """The key of a model's plan."""
    return plan_prefix(service) + key_segment(model)


def key_segment(name: str) -> str:
    """A name as a part of a key. Its slashes and its leading dot are escaped: a server resolves them."""
    segment = quote(name, safe=" ")
    return f"%2E{segment[1:]}" if segment.startswith(".") else segment


def model_of_key(service: str, key: str) -> str | None:
    """The model that a key is for; None for a key of somebody else."""
    prefix = plan_prefix(service)
    model = unquote(key[len(prefix) :]) if key.startswith(prefix) else ""
    return model if model and is_label(model) and plan_key(service, model) == key else None


def parse_plan(document: bytes) -> Plan | None:
    """The plan, or None for the marker of an ended one. Raises BadPlanError."""
    if len(document) > MAX_PLAN_BYTES:
        raise BadPlanError(f"the plan has {len(document)} bytes, over the limit of {MAX_PLAN_BYTES}")
    try:
        fields = json.loads(document)
    except (ValueError, RecursionError) as error:
        raise BadPlanError("the plan is not JSON") from error
    if not isinstance(fields, dict):
        raise BadPlanError("the plan is not a JSON object")
    if len(fields) == 1 and fields.get(_DELETED) is True:  # 1 is equal to True, and no marker
        return None
    if unknown := sorted(fields.keys() - _TYPES.keys()):
        raise BadPlanError(f"the plan has a field that this version does not know: {escaped(unknown[0])}")
    typed = {name: _typed(name, value) for name, value in fields.items()}
    of_canary = {name: typed.pop(name) for name in _OF_CANARY if name in typed}
    version = typed.pop("canary", "")
    if not version and any(of_canary.get(name) for name in _SHARES):
        raise BadPlanError("a plan with a share needs a canary")
    canary = Canary(version, **of_canary) if version else None
    return Plan(**{"stable": "", **typed}, canary=canary)


def parse_default(document: bytes) -> str:
    """The model that requests without a name are for, or an empty text. Raises BadPlanError."""
    try:
        name = json.loads(document) if len(document) <= MAX_PLAN_BYTES else None
    except (ValueError, RecursionError):
        name = None
    if not isinstance(name, str) or not is_label(name):
        raise BadPlanError("the default model is not the name of a model as a JSON text")
    return name


def dump_default(model: str) -> bytes:
    """The document of the default model; of an empty text the one that there is none."""
    return json.dumps(model).encode()


def dump_plan(plan: Plan | None) -> bytes:
    """The document of a plan; of None the marker that ends it."""
    if plan is None:
        return json.dumps({_DELETED: True}).encode()
    fields: dict[str, object] = {"stable": plan.stable}
    if plan.canary is not None:
        fields |= {"canary": plan.canary.version}
        fields |= {name: getattr(plan.canary, name) for name in _OF_CANARY}
    fields |= {name: getattr(plan, name) for name in ("previous", "sticky", "reason")}
    return json.dumps({**fields, "labels": dict(plan.labels)}).encode()


def labels_of(plan: Plan) -> Mapping[str, str]:
    """The versions by label: the plan's own, and `stable` and `canary`."""
    canary = {} if plan.canary is None else {"canary": plan.canary.version}
    return {"stable": plan.stable, **canary, **plan.labels}


def rolled_out(plan: Plan | None, canary: Canary, *, stable: str, label: str = "") -> Plan:
    """The plan after `tfleet rollout`. `stable` is what serves now, for a model that has no plan.

    The reason of an earlier rollback goes: it was another canary's. Raises BadPlanError.
    """
    before = plan or Plan(stable)
    labels = {**before.labels, label: canary.version} if label else before.labels
    return replace(before, canary=canary, labels=labels, reason="")


def promoted(plan: Plan) -> Plan:
    """The plan after `tfleet promote`: the canary is the stable version. Raises BadPlanError."""
    if plan.canary is None:
        raise BadPlanError(f"there is no canary to promote: version {plan.stable} gets all requests")
    return replace(plan, stable=plan.canary.version, previous=plan.stable, canary=None, reason="")


def rolled_back(plan: Plan, reason: str = "") -> Plan:
    """The plan after a rollback: without its canary or, without one, with the previous version as stable.

    Raises BadPlanError.
    """
    if plan.canary is not None:
        return replace(plan, canary=None, reason=reason)
    if not plan.previous:
        raise BadPlanError(f"there is nothing to roll back to: version {plan.stable} has no predecessor")
    return replace(plan, stable=plan.previous, previous=plan.stable, reason=reason)


def _typed(name: str, value: object) -> Any:
    wanted = _TYPES[name]
    if wanted is dict:
        if not isinstance(value, dict) or not all(isinstance(one, str) for one in value.values()):
            raise BadPlanError(f"{name} is not an object of texts")
        return value
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        # A number of thousands of digits is no float: it is over 100 either way.
        return float(min(max(value, -1), _ALL + 1))
    if not isinstance(value, wanted):
        raise BadPlanError(f"{name} is not {_NAMES[wanted]}")
    return value


def _problems(plan: Plan) -> Iterator[str]:
    """What is wrong with a plan, line by line."""
    if not plan.stable:
        yield "a plan needs a stable version"
    yield from _text_problems(plan)
    if plan.canary is not None:
        for name in _SHARES:
            percent = getattr(plan.canary, name)
            if not (math.isfinite(percent) and 0 <= percent <= _ALL):
                yield f"{name} is {percent:g}: expected a number from 0 to {_ALL}"
        if plan.canary.version == plan.stable:
            yield f"version {plan.stable} is the stable version already"
    if not _is_sticky(plan.sticky):
        yield f"sticky is '{escaped(plan.sticky)}': expected {STICKY_REQUEST_ID} or {STICKY_HEADER}NAME"


def _text_problems(plan: Plan) -> Iterator[str]:
    canary = plan.canary.version if plan.canary else ""
    texts = {"stable": plan.stable, "canary": canary, "previous": plan.previous, "reason": plan.reason}
    texts |= {f"the version of label {escaped(label)}": version for label, version in plan.labels.items()}
    texts |= {f"the label {escaped(label)}": label for label in plan.labels}
    for name, text in texts.items():
        if not is_label(text):
            yield f"{name} is not printable ASCII of bounded length: '{escaped(text)}'"
    if not all((*plan.labels, *plan.labels.values())):
        yield "a label and its version must not be empty"
    if len(plan.labels) > MAX_LABELS:
        yield f"a plan has at most {MAX_LABELS} labels"


def _is_sticky(text: str) -> bool:
    if text in {"", STICKY_REQUEST_ID}:
        return True
    name = text.removeprefix(STICKY_HEADER)
    if name == text or not 0 < len(name) <= _MAX_HEADER_CHARS:
        return False
    return name.isascii() and all(sign.isalnum() or sign in _TOKEN_SIGNS for sign in name)
