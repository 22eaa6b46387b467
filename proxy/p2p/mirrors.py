"""What a plan asks for that a proxy in p2p mode can't do: to mirror requests that it does not see."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from tfleet.discovery.plan_watch import Plans
from tfleet.proxy.settings import ModeSettings

_NONE: Final = "requests are not mirrored: a proxy in p2p mode sees none of them"
_SOME: Final = "only requests below /v1 and /v2 are mirrored: a proxy in p2p mode does not see the others"


class MirrorWarnings:
    """Logs a line for each model whose plan mirrors requests, once for each share."""

    def __init__(self, serving: ModeSettings) -> None:
        self._serving = serving
        self._warned: Mapping[str, float] = {}
        """The share that each model's plan mirrors, in percent."""

    def __repr__(self) -> str:
        return f"<MirrorWarnings {self._warned}>"

    def use_plans(self, plans: Plans) -> None:
        """Warn of what is new in these plans: they also change as versions load or are refused."""
        mirrored = {
            model: plan.canary.mirror
            for model, plan in plans.models.items()
            if plan.canary is not None and plan.canary.mirror
        }
        for model, percent in mirrored.items():
            if self._warned.get(model) != percent:
                structlog.get_logger().warning(
                    _SOME if self._serving.forwards_inference else _NONE,
                    model=model,
                    mirror=percent,
                )
        self._warned = mirrored
