"""The environment variables that tfleet heeds, and what is said of one that it does not."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Final

from tfleet.deploy.envvar import PREFIX

# Those of all commands, written down: to import them all takes a second, and extras may be missing here.
KNOWN: Final = frozenset(
    f"{PREFIX}{name}"
    for name in (
        *("ADVERTISE", "ADVERTISE_WAN", "ALLOW_HOST", "BALANCE", "CLIENT_TIMEOUT", "COMPOSE_SERVICE"),
        *(
            "CONCURRENCY",
            "COOLDOWN",
            "CORS_ORIGIN",
            "CPUS",
            "DECODE_TIMEOUT",
            "DRAIN_GRACE",
            "DRAIN_TIMEOUT",
            "DRY_RUN",
            "HEADER_TIMEOUT",
        ),
        *("HOST", "IDLE_TIMEOUT", "INPUT_LAYER", "INPUT_MEAN", "INPUT_SIZE", "INPUT_STD", "INTERVAL", "JSON"),
        *("LABELS", "LISTENERS", "LOG_FORMAT", "LOG_LEVEL", "MAX", "MAX_BATCH", "MAX_BODY_BYTES"),
        *("MAX_CONNECTIONS", "MAX_PIXELS", "MAX_QUEUE", "MAX_QUEUE_BYTES", "MIN", "MODE", "MODEL"),
        *("OUTPUT_LAYER", "P2P", "PORT", "PRECISION", "PRECISION_TOLERANCE", "PROJECT_NAME", "PROXY"),
        *("REGISTRY", "REGISTRY_PORT", "REGISTRY_TOKEN_FILE", "REPLAY_BYTES", "REPLAY_TOTAL_BYTES"),
        *("RETRY_FLOOR", "RETRY_SHARE"),
        *("SELF_TEST", "SERVICE", "SLOW_START", "STABILIZATION", "TARGET_BUSY", "TARGET_QUEUE", "THREADS"),
        *("TICKET_KEY_FILE", "TIMEOUT", "TOP", "TRY_TIMEOUT", "UNREACHABLE", "WAIT", "WAIT_TIMEOUT"),
        *("WORKERS", "YES"),
    )
)
# Kubernetes sets these for services called tfleet or tfleet-something.
_OF_KUBERNETES: Final = re.compile(r"TFLEET_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT_\d+_(TCP|UDP|SCTP)\w*)")
_VALUE_OF_KUBERNETES: Final = re.compile(r"(tcp|udp|sctp)://")


def unknown(environ: Mapping[str, str], known: Collection[str] = KNOWN) -> list[str]:
    """The names that look like tfleet's and are not, in order."""
    return sorted(
        name
        for name, value in environ.items()
        if name.startswith(PREFIX)
        and name not in known
        and not _OF_KUBERNETES.fullmatch(name)
        and not _VALUE_OF_KUBERNETES.match(value)
    )


def complaint(name: str, known: Iterable[str] = KNOWN) -> str:
    """What to say of one of these, with the name that was probably meant."""
    close = get_close_matches(name, sorted(known))
    meant = min(close, key=lambda each: sorted(each) != sorted(name), default="")  # two letters exchanged
    return f"{name} is none of tfleet's variables" + (f": did you mean {meant}?" if meant else "")
