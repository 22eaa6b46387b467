"""What a plan asks for that a proxy in p2p mode can't do: it sees no request, so it can't mirror any."""

from __future__ import annotations

import structlog

from tfleet.discovery.plan_watch import Plans


def warn_of_mirrors(plans: Plans) -> None:
    """Log a line for each model whose plan mirrors requests."""
    for model, plan in plans.models.items():
        if plan.canary is not None and plan.canary.mirror:
            structlog.get_logger().warning(
                "requests are not mirrored: a proxy in p2p mode sees none of them",
                model=model,
                mirror=plan.canary.mirror,
            )
