import json
import os
import pty
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import suppress

import pytest
import requests
from click.testing import CliRunner, Result

from tests.support.canned_server import canned, http, nobody
from tests.support.consul_agent import consul_agent
from tests.support.either_registry import REGISTRIES, either_registry
from tests.support.environment import users_environment
from tests.support.waiting import eventually_sync
from tfleet.client.commands.prune import prune
from tfleet.contract.address import Address
from tfleet.discovery.consul.agent import ConsulAgent
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ListingStatus

pytestmark = pytest.mark.process


@pytest.fixture(scope="module", params=REGISTRIES)
def registry(request: pytest.FixtureRequest) -> Iterator[Address]:
    with either_registry(request.param) as address:
        yield address


class Registered:
    """A service of the test's own in a registry, whose checks fail half a second after the last heartbeat."""

    def __init__(self, registry: Address) -> None:
        self.service = f"service-{uuid.uuid4().hex[:8]}"
        self.options = ("--registry", f"consul://{registry}", "--service", self.service)
        self._registry = registry

    def add(self, name: str, address: Address, *, ttl_s: float = 60.0) -> Instance:
        instance = Instance(f"{self.service}-{name}", address)
        ConsulAgent(self._registry, self.service, ttl_s=ttl_s).register(instance)
        return instance

    def add_dead(self, name: str = "dead") -> Instance:
        """One that nobody lives up to, and whose check has failed."""
        dead = self.add(name, nobody(), ttl_s=0.1)
        eventually_sync(self.states, wanted=lambda found: found.get(name) is ListingStatus.CRITICAL)
        return dead

    def states(self) -> dict[str, ListingStatus]:
        listed = ConsulAgent(self._registry, self.service, ttl_s=60).listed()
        return {one.instance.id.removeprefix(f"{self.service}-"): one.status for one in listed}

    def prune(self, *options: str) -> Result:
        return CliRunner().invoke(prune, [*self.options, *options])


@pytest.fixture
def registered(registry: Address) -> Registered:
    return Registered(registry)


@pytest.fixture
def alive(registered: Registered) -> Iterator[Instance]:
    """A worker that answers under its own name, though its check has failed."""
    with canned(http("503 Service Unavailable", b"", f"X-Worker: {registered.service}-alive")) as address:
        worker = registered.add("alive", address, ttl_s=0.1)
        eventually_sync(registered.states, wanted=lambda found: found == {"alive": ListingStatus.CRITICAL})
        yield worker


def test_stale_entries_are_removed_live_workers_stay(registered: Registered, alive: Instance) -> None:
    dead = registered.add_dead()
    replaced = registered.add("replaced", alive.address)
    eventually_sync(registered.states, wanted=lambda found: len(found) == 3)
    done = registered.prune("--yes")
    assert done.exit_code == 0, done.output
    header, *rows, summary = (line.rstrip() for line in done.output.splitlines())
    assert header.split() == ["id", "address", "node", "state", "reason"]
    assert [row.split()[:2] for row in rows] == [[one.id, str(one.address)] for one in (dead, replaced)]
    assert [row.split()[3] for row in rows] == ["critical", "passing"]
    assert rows[0].endswith("critical  Connection refused")
    assert rows[1].endswith(f"{alive.id} answers at its address")
    assert summary == "2 of 2 stale registrations removed"
    assert eventually_sync(registered.states, wanted=lambda found: len(found) == 1).keys() == {"alive"}
    assert registered.prune("--yes").output == f"no stale registrations of {registered.service}\n"


KEPT = "1 kept: not critical, but not reachable from here (see --unreachable)"


def test_a_passing_unreachable_worker_is_listed_and_kept(registered: Registered) -> None:
    far = registered.add("a-far-one", nobody())
    dead = registered.add_dead()
    eventually_sync(registered.states, wanted=lambda found: len(found) == 2)
    _, *rows, summary = (line.rstrip() for line in registered.prune("--yes").output.splitlines())
    assert [row.split()[0] for row in rows] == [dead.id, far.id]
    assert rows[1].endswith("passing   not reachable from here: Connection refused")
    assert summary == f"1 of 1 stale registration removed; {KEPT}"
    left = eventually_sync(registered.states, wanted=lambda found: len(found) == 1)
    assert left == {"a-far-one": ListingStatus.PASSING}
    summary = registered.prune("--yes").output.splitlines()[-1]
    assert summary == f"no stale registrations of {registered.service}; {KEPT}"


def test_an_unreachable_worker_is_removed_on_request(registered: Registered, alive: Instance) -> None:
    registered.add("far", nobody())
    registered.add_dead()
    eventually_sync(registered.states, wanted=lambda found: len(found) == 3)
    last = registered.prune("--dry-run", "--unreachable").output.splitlines()[-1]
    assert last == "0 of 1 stale registration removed; 0 of 1 unreachable removed"
    last = registered.prune("--yes", "--unreachable").output.splitlines()[-1]
    assert last == "1 of 1 stale registration removed; 1 of 1 unreachable removed"
    assert eventually_sync(registered.states, wanted=lambda found: len(found) == 1).keys() == {"alive"}


def test_a_dry_run_only_lists(registered: Registered) -> None:
    registered.add_dead()
    done = registered.prune("--dry-run", "--yes")
    assert (done.exit_code, done.output.splitlines()[-1]) == (0, "0 of 1 stale registration removed")
    assert registered.states().keys() == {"dead"}


@pytest.mark.parametrize(
    ("options", "removed"),
    [
        (("--dry-run",), (False, False)),
        (("--yes",), (True, False)),
        (("--yes", "--unreachable"), (True, True)),
    ],
)
def test_json_output_is_one_document(
    registered: Registered, options: tuple[str, ...], removed: tuple[bool, bool]
) -> None:
    dead, far = registered.add_dead(), registered.add("far", nobody())
    eventually_sync(registered.states, wanted=lambda found: len(found) == 2)
    document = json.loads(registered.prune("--json", *options).output)
    assert document.keys() == {"stale", "unreachable"}
    (stale,), (unreachable,) = document["stale"], document["unreachable"]
    assert stale.pop("node") == unreachable.pop("node") != ""
    assert stale == {
        "id": dead.id,
        "address": str(dead.address),
        "state": "critical",
        "reason": "Connection refused",
        "removed": removed[0],
    }
    assert unreachable == {
        "id": far.id,
        "address": str(far.address),
        "state": "passing",
        "reason": "not reachable from here: Connection refused",
        "removed": removed[1],
    }


@pytest.mark.parametrize("registry", ["embedded"], indirect=True)
@pytest.mark.parametrize("options", [(), ("--json",)])
def test_without_confirmation_nothing_is_removed(registered: Registered, options: tuple[str, ...]) -> None:
    registered.add("dead", nobody())
    done = registered.prune(*options)
    assert done.exit_code == 2
    line = "tfleet prune: can't ask for confirmation here: use --yes to remove or --dry-run to list\n"
    assert (done.stdout, done.stderr) == ("", line)
    assert registered.states().keys() == {"dead"}


def test_a_registry_that_does_not_answer_is_named() -> None:
    away = nobody()
    done = CliRunner().invoke(prune, ["--registry", f"consul://{away}", "--yes"])
    assert done.exit_code == 1
    assert done.stderr.splitlines() == [
        f"tfleet prune: the registry at {away} does not answer: Connection refused"
    ]


def test_a_fixed_list_has_nothing_to_prune() -> None:
    done = CliRunner().invoke(prune, ["--registry", "static:127.0.0.1:8000", "--yes"])
    assert done.exit_code == 2
    assert "workers do not register in" in done.stderr


def on_a_terminal(registered: Registered, typed: bytes) -> tuple[int, str]:
    """The exit code and what was on the screen."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tfleet", "prune", *registered.options]
    process = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=users_environment())
    os.close(theirs)
    os.write(ours, typed)
    with open(ours, "rb", buffering=0) as screen:  # noqa: PTH123 - a descriptor
        got = b""
        with suppress(OSError):  # EIO: the other side is closed
            while chunk := screen.read(65536):
                got += chunk
    return process.wait(30), got.decode()


@pytest.mark.parametrize("registry", ["embedded"], indirect=True)
@pytest.mark.parametrize(
    ("typed", "code", "left", "said"),
    [
        (b"y\n", 0, [], "1 of 1 stale registration removed"),
        (b"n\n", 0, ["dead"], "0 of 1 stale registration removed"),
        (b"\n", 0, ["dead"], "0 of 1 stale registration removed"),
        (b"\x04", 130, ["dead"], "Remove 1 registration?"),
    ],
)
def test_prune_asks_on_a_terminal(
    registered: Registered, typed: bytes, code: int, left: list[str], said: str
) -> None:
    registered.add_dead()
    registered.add("far", nobody())
    ended, screen = on_a_terminal(registered, typed)
    assert ended == code
    assert said in screen
    assert list(registered.states()) == [*left, "far"]


@pytest.mark.parametrize("registry", ["embedded"], indirect=True)
def test_prune_does_not_ask_if_nothing_is_to_be_removed(registered: Registered) -> None:
    registered.add("far", nobody())
    code, screen = on_a_terminal(registered, b"y\n")
    assert code == 0
    assert KEPT in screen
    assert "Remove" not in screen


@pytest.mark.parametrize(
    ("odd", "as_shown"),
    [
        ("x\r\nSet-Cookie: a=b", r"x\r\nSet-Cookie: a=b"),
        ("../../leave", "../../leave"),
        ("a//b", "a//b"),
        ("a?b#c%41 d\u00e9", "a?b#c%41 dé"),
    ],
)
def test_an_id_that_is_no_token_is_shown_and_removed(
    registry: Address, registered: Registered, odd: str, as_shown: str
) -> None:
    definition = {
        "ID": odd,
        "Name": registered.service,
        "Address": "127.0.0.1",
        "Port": nobody().port,
        "Check": {"TTL": "60s", "Status": "passing"},
    }
    requests.put(f"{registry.url}/v1/agent/service/register", json=definition, timeout=10).raise_for_status()
    eventually_sync(registered.states, wanted=lambda found: found == {odd: ListingStatus.PASSING})
    shown = registered.prune("--dry-run").output
    assert as_shown in shown.splitlines()[1]
    assert "its id is not a valid token" in shown
    assert registered.prune("--yes").output.splitlines()[-1] == "1 of 1 stale registration removed"
    eventually_sync(registered.states, wanted=lambda found: found == {})
    agent = requests.get(f"{registry.url}/v1/agent/self", timeout=10)
    assert agent.ok, "it has not left"
    # A Consul agent lists again, after about a minute, whatever it has not forgotten.
    services = requests.get(f"{registry.url}/v1/agent/services", timeout=10).json()
    kept = {one["Service"] for one_id, one in services.items() if one_id == odd}
    assert kept <= {f"{registered.service}-removed"}


def test_an_id_that_fits_no_url_is_removed() -> None:
    with consul_agent() as consul:
        registered, odd = Registered(consul.address), "x\r\ny"
        definition = {"ID": odd, "Name": registered.service, "Port": 80, "Address": "127.0.0.1"}
        url = f"{consul.address.url}/v1/agent/service"
        requests.put(f"{url}/register", json=definition, timeout=10).raise_for_status()
        eventually_sync(registered.states)
        assert registered.prune("--yes").exit_code == 0

        def left() -> bool:
            return odd in requests.get(f"{url}s", timeout=10).json()

        eventually_sync(left, wanted=lambda is_left: not is_left, timeout_s=120)
