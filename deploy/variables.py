"""The environment variable TFLEET_<OPTION> of each option, and warnings of variables that no option has."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Final

import click

PREFIX: Final = "TFLEET_"


def variable(option: click.Option) -> str:
    """The variable of an option, from its longest flag: `--max-body-bytes` is TFLEET_MAX_BODY_BYTES.

    From the flag and not from the parameter's Python name, because the documentation shows the flag.
    """
    flag = max(option.opts, key=len)
    return PREFIX + flag.lstrip("-").replace("-", "_").upper()


def variables(command: click.Command) -> set[str]:
    """The variables of all options of a command that may be set by one."""
    options = (option for option in command.params if isinstance(option, click.Option))
    return {variable(option) for option in options if option.allow_from_autoenv}


def give_variables(command: click.Command) -> None:
    """Let each option of `command` be set by its variable, and show the variable in --help.

    A variable that the option names itself (COMPOSE_PROJECT_NAME) comes second. Click's own
    `auto_envvar_prefix` would add the command's name (TFLEET_WORKER_PORT): then one variable could not
    configure the whole fleet, and Kubernetes sets that very name for a service called tfleet-worker.
    """
    for option in command.params:
        if not isinstance(option, click.Option) or option.is_eager:  # eager ones, like --version, only print
            continue
        if not option.allow_from_autoenv:  # of the same name as another command's, with another meaning
            continue
        name, own = variable(option), option.envvar
        others = (own,) if isinstance(own, str) else tuple(own or ())
        option.envvar = [name, *(other for other in others if other != name)]
        option.show_envvar = True


# The variables of all commands. They are listed here, and checked by a test, because importing all commands
# takes a second and fails without their extras.
_NAMES: Final = """
ACTIVATION ADMIN_PORT ADVERTISE ADVERTISE_WAN ALLOW_HOST BALANCE CLIENT_TIMEOUT COMPOSE_SERVICE
CONCURRENCY COOLDOWN CORS_ORIGIN CPUS DECODE_TIMEOUT DRAIN_GRACE DRAIN_TIMEOUT DRY_RUN
HEADER_TIMEOUT HOST IDLE_TIMEOUT INPUT_LAYER INPUT_MEAN INPUT_SIZE INPUT_STD INTERVAL JOBS
JOB_CALLBACK_ALLOW JOB_CALLBACK_KEY_FILE JOB_RESULT_TTL JOB_TIMEOUT JOB_VISIBILITY JSON KEEP
LABELS LISTENERS LOG_FORMAT LOG_LEVEL MAX MAX_BATCH MAX_BODY_BYTES MAX_CONNECTIONS MAX_JOBS
MAX_JOBS_BYTES MAX_PIXELS MAX_QUEUE MAX_QUEUE_BYTES MEMORY MIN MODE MODEL MODELS MODEL_NAME
MODEL_VERSION OUTPUT_LAYER P2P PORT PRECISION PRECISION_TOLERANCE PRELOAD PROJECT_NAME PROXY
REDIRECT_ALL REGISTRY REGISTRY_DATA_DIR REGISTRY_PORT REGISTRY_TOKEN_FILE REPLAY_BYTES
REPLAY_TOTAL_BYTES RETRY_FLOOR RETRY_SHARE SELF_TEST SERVICE SIGNATURE SLOW_START STABILIZATION
TARGET_BUSY TARGET_QUEUE THREADS TICKET_KEY_FILE TIMEOUT TOP TRUST TRY_TIMEOUT UNREACHABLE WAIT
WAIT_TIMEOUT WORKERS WORKERS_PER_MODEL YES
"""
KNOWN: Final = frozenset(PREFIX + name for name in _NAMES.split())
# Kubernetes sets these for services called tfleet or tfleet-something.
_OF_KUBERNETES: Final = re.compile(r"TFLEET_(\w+_)?(SERVICE_(HOST|PORT\w*)|PORT_\d+_(TCP|UDP|SCTP)\w*)")
_VALUE_OF_KUBERNETES: Final = re.compile(r"(tcp|udp|sctp)://")


def unknown_variables(environ: Mapping[str, str], known: Collection[str] = KNOWN) -> list[str]:
    """The names that begin like tfleet's variables but are none, sorted."""
    return sorted(
        name
        for name, value in environ.items()
        if name.startswith(PREFIX)
        and name not in known
        and not _OF_KUBERNETES.fullmatch(name)
        and not _VALUE_OF_KUBERNETES.match(value)
    )


def unknown_variable_message(name: str, known: Iterable[str] = KNOWN) -> str:
    """The warning for an unknown variable, with the name that was probably meant."""
    close = get_close_matches(name, sorted(known))
    meant = min(
        close, key=lambda each: sorted(each) != sorted(name), default=""
    )  # swapped letters are the likeliest mistake
    return f"{name} is not one of tfleet's variables" + (f": did you mean {meant}?" if meant else "")
