"""docker-compose.yml and .env.example know every option, as the commands have them."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from tfleet.deploy.variables import variable
from tfleet.proxy.cli import proxy
from tfleet.worker.cli import worker

ROOT = Path(__file__).parents[2]
COMPOSE = (ROOT / "docker-compose.yml").read_text()
GPU = (ROOT / "docker-compose.gpu.yml").read_text()
P2P = (ROOT / "docker-compose.p2p.yml").read_text()
SWARM = (ROOT / "deploy" / "swarm" / "swarm.yml").read_text()
DEFAULTS = dict(
    re.findall(r"^#(?P<name>[A-Z_]+)=(?P<default>.*)$", (ROOT / ".env.example").read_text(), re.MULTILINE)
)
# The containers settle where they listen, and have a Consul, with its own tokens and data; the compose file
# where the registry and the keys are.
_OF_EMBEDDED = ("DATA_DIR", "PORT", "TOKEN_FILE")
SETTLED = {"TFLEET_HOST", "TFLEET_PORT", *(f"TFLEET_REGISTRY_{name}" for name in _OF_EMBEDDED)}
OF_THE_COMPOSE_FILE = {"TFLEET_REGISTRY", "TFLEET_TICKET_KEY_FILE", "TFLEET_JOB_CALLBACK_KEY_FILE"}


def _block(name: str) -> str:
    """The lines of docker-compose.yml that belong to a key of two spaces or none."""
    found = re.search(
        rf"^(?P<indent> *){name}:.*\n(?P<block>(?:(?P=indent)  .*\n|\n| *#.*\n)*)", COMPOSE, re.MULTILINE
    )
    assert found
    return found["block"]


def _options(command: click.Command) -> dict[str, object]:
    """The default of each option that a user of the compose file may set, by its variable."""
    settable = {variable(each): each.default for each in command.params if isinstance(each, click.Option)}
    return {name: default for name, default in settable.items() if name not in SETTLED}


@pytest.mark.parametrize("command", [proxy, worker])
def test_every_option_reaches_its_container(command: click.Command) -> None:
    passed = set(
        re.findall(r"^ +(TFLEET_\w+):", _block("x-options") + _block(str(command.name)), re.MULTILINE)
    )
    assert passed == set(_options(command))


def test_every_option_has_its_default_beside_it() -> None:
    of_proxy, of_worker = _options(proxy), _options(worker)
    for name in (of_proxy.keys() | of_worker.keys()) - OF_THE_COMPOSE_FILE:
        known = {str(of[name]) for of in (of_proxy, of_worker) if name in of}
        (default,) = known if len(known) == 1 else {""}  # where they differ, a comment says both
        assert DEFAULTS[name] == ("" if "UNSET" in default or default == "None" else default), name


def test_every_compose_variable_is_documented_with_default() -> None:
    used: dict[str, str] = {}
    for file in (P2P, GPU, SWARM, COMPOSE):
        used |= dict(re.findall(r"\$\{([A-Z0-9_]+):-([^}]*)\}", file))
    assert (used.pop("TICKET_KEY_FILE"), used.pop("CALLBACK_KEY_FILE")) == ("/dev/null", "/dev/null")
    of_the_others = (used.pop("GREEN_IMAGE"), used.pop("GREEN_MODEL"))
    assert of_the_others == ("${WORKER_IMAGE:-tfleet-worker", "${TFLEET_MODEL:-"), "as comments say"
    assert (used.pop("TFLEET_MODE"), used.pop("TFLEET_ADVERTISE_WAN")) == ("p2p", "docker"), "as comments say"
    assert {name: DEFAULTS.get(name) for name in used} == used


def test_every_variable_of_the_example_is_read() -> None:
    assert [name for name in DEFAULTS if not re.search(rf"\b{name}\b", COMPOSE + GPU + P2P + SWARM)] == []


@pytest.mark.parametrize("command", [proxy, worker])
def test_docker_waits_for_a_drain_before_killing(command: click.Command) -> None:
    options = _options(command)
    drain_s = float(str(options["TFLEET_DRAIN_GRACE"])) + float(str(options["TFLEET_DRAIN_TIMEOUT"]))
    assert int(DEFAULTS[f"{str(command.name).upper()}_STOP_GRACE"].removesuffix("s")) > drain_s + 12
