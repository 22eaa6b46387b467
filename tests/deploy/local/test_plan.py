from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from tfleet.contract.address import Address
from tfleet.deploy.local.command import arguments_for
from tfleet.deploy.local.plan import (
    PROGRAM,
    FleetPlan,
    ProxyPlan,
    RepositoryPlan,
    SharedOptions,
    WorkersPlan,
    worker_cpus,
)
from tfleet.deploy.local.repository.source import FolderSource
from tfleet.discovery.consul.access import Access, Tls
from tfleet.discovery.registry import ConsulRegistry, EmbeddedRegistry
from tfleet.proxy.settings import Mode
from tfleet.runtime.log import LogSettings

FLEET = FleetPlan(
    proxy=ProxyPlan(Address("127.0.0.1", 12480), "p2p"),
    workers=WorkersPlan(2),
    registry=EmbeddedRegistry(Address("127.0.0.1", 12481)),
    service="cats",
    shared=SharedOptions(LogSettings("json")),
    drain_timeout_s=20.0,
    program=("tfleet",),
)
LOGS = "--log-format json --log-level info"
SHARED = f"--registry consul://127.0.0.1:12481 --service cats --drain-timeout 20 {LOGS}"


def test_the_embedded_registry_is_a_process_of_its_own() -> None:
    spec = FLEET.registry_spec()
    assert spec is not None
    assert spec.name == "registry"
    assert (
        " ".join(spec.argv)
        == f"tfleet registry --host 127.0.0.1 --port 12481 --registry-data-dir memory {LOGS}"
    )


def test_with_consul_there_is_no_registry_to_start() -> None:
    fleet = replace(FLEET, registry=ConsulRegistry(Address("consul.local", 8500)))
    assert fleet.registry_spec() is None
    assert "consul://consul.local:8500" in fleet.proxy_spec().argv


def test_with_tls_the_children_use_it_too() -> None:
    fleet = replace(FLEET, registry=ConsulRegistry(Address("consul.local", 8501), Access(tls=Tls())))
    assert "consul+https://consul.local:8501" in fleet.proxy_spec().argv


def test_the_proxy_finds_the_registry_by_its_address() -> None:
    command = f"tfleet proxy --host 127.0.0.1 --port 12480 --mode p2p --listeners 1 {SHARED}"
    assert " ".join(FLEET.proxy_spec().argv) == command


def test_each_worker_has_a_port_of_its_own() -> None:
    specs = FLEET.worker_specs()
    assert [spec.name for spec in specs] == ["worker-1", "worker-2"]
    assert {" ".join(spec.argv) for spec in specs} == {f"tfleet worker --host 127.0.0.1 --port 0 {SHARED}"}


def test_a_repositorys_workers_are_told_their_model() -> None:
    fleet = replace(
        FLEET, workers=WorkersPlan(2, ("--trust",)), repository=RepositoryPlan(FolderSource(Path("models")))
    )
    assert fleet.worker_specs() == ()
    spec = fleet.worker_spec("cats/1-1", "--model", "models/cats/1", "--model-name", "cats")
    start = "tfleet worker --host 127.0.0.1 --port 0 --model models/cats/1 --model-name cats --trust"
    assert (spec.name, " ".join(spec.argv)) == ("cats/1-1", f"{start} {SHARED}")
    assert "TFLEET_CPUS" not in fleet.child_environ({}, 2), "how many workers share them is not known yet"
    assert worker_cpus(8, 3) == {"TFLEET_CPUS": "2"}


def test_each_process_gets_its_own_options() -> None:
    fleet = replace(
        FLEET,
        workers=WorkersPlan(2, ("--model", "my models/flowers")),
        proxy=replace(FLEET.proxy, options=("--drain-grace", "2")),
    )
    assert fleet.worker_specs()[0].argv[6:8] == ("--model", "my models/flowers")
    assert "--drain-grace" not in fleet.worker_specs()[0].argv
    assert "--drain-grace" in fleet.proxy_spec().argv
    assert "--model" not in fleet.proxy_spec().argv


@pytest.mark.parametrize(
    ("mode", "host", "workers_host"),
    [
        ("forward", "0.0.0.0", "127.0.0.1"),
        ("p2p", "0.0.0.0", "0.0.0.0"),
        ("p2p", "192.0.2.1", "192.0.2.1"),
        ("p2p", "localhost", "127.0.0.1"),
    ],
)
def test_p2p_workers_listen_where_the_proxy_does(mode: Mode, host: str, workers_host: str) -> None:
    fleet = replace(FLEET, proxy=ProxyPlan(Address(host, 1), mode))
    assert fleet.worker_specs()[0].argv[2:4] == ("--host", workers_host)
    assert fleet.proxy_spec().argv[2:4] == ("--host", host)


@pytest.mark.parametrize(
    ("host", "here"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("192.0.2.1", "192.0.2.1"), ("localhost", "127.0.0.1")],
)
def test_the_proxy_is_reachable_from_this_machine(host: str, here: str) -> None:
    assert replace(FLEET, proxy=ProxyPlan(Address(host, 1), "p2p")).local_proxy_address == Address(here, 1)


def test_an_admin_port_is_the_proxy_s_and_has_its_workers() -> None:
    fleet = replace(FLEET, proxy=ProxyPlan(Address("0.0.0.0", 1), "p2p", admin_port=2))
    argv = fleet.proxy_spec().argv
    assert argv[argv.index("--admin-port") + 1] == "2"
    assert (fleet.local_proxy_address.port, fleet.local_admin_address) == (1, Address("127.0.0.1", 2))
    assert replace(fleet, proxy=replace(fleet.proxy, admin_port=None)).local_admin_address == Address(
        "127.0.0.1", 1
    )


def test_the_key_file_is_for_the_proxy_and_the_workers() -> None:
    fleet = replace(FLEET, shared=SharedOptions(LogSettings("json"), ticket_key_file=Path("my keys")))
    for spec in (fleet.proxy_spec(), *fleet.worker_specs()):
        at = spec.argv.index("--ticket-key-file")
        assert spec.argv[at + 1] == "my keys"
    registry = fleet.registry_spec()
    assert registry is not None
    assert "--ticket-key-file" not in registry.argv


def test_a_file_in_the_current_folder_shadows_no_module(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise SystemExit('the wrong one')")
    done = subprocess.run([*PROGRAM, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout.startswith("tfleet, version")


def test_the_environment_gives_no_address_to_all_workers() -> None:
    """All other variables reach every worker."""
    environ = {"TFLEET_MAX_PIXELS": "9", "TFLEET_ADVERTISE": "here:1", "HOME": "/"}
    assert FLEET.child_environ(environ, 2) == {
        "TFLEET_MAX_PIXELS": "9",
        "TFLEET_CPUS": "1",
        "HOME": "/",
        "PYTHONUNBUFFERED": "1",
    }


def test_the_workers_share_the_cpus() -> None:
    fleet = replace(FLEET, workers=WorkersPlan(3))
    assert fleet.child_environ({}, 8)["TFLEET_CPUS"] == "2"


def test_the_number_of_cpus_per_worker_can_be_set() -> None:
    assert FLEET.child_environ({"TFLEET_CPUS": "5"}, 2)["TFLEET_CPUS"] == "5"


@click.command()
@click.option("--own")
@click.option("-s", "--size-in-px", "size", type=int, default=3, envvar="SIZE")
@click.option("--mean", type=float)
@click.option("--test/--no-test", default=True)
@click.option("--loud", is_flag=True)
@click.option("--origin", multiple=True)
@click.pass_context
def command(ctx: click.Context, /, **_: object) -> None:
    click.echo(arguments_for(ctx, {"size", "mean", "test", "loud", "origin"}))


@pytest.mark.parametrize(
    ("said", "argv"),
    [
        ([], ()),
        (["--own", "1"], ()),
        (["-s", "5"], ("--size-in-px", "5")),
        (["--mean", "-0.5"], ("--mean", "-0.5")),
        (["--no-test"], ("--no-test",)),
        (["--test", "--loud"], ("--test", "--loud")),
        (["--origin", "a", "--origin", "b"], ("--origin", "a", "--origin", "b")),
    ],
)
def test_options_of_the_command_line_are_passed_on(said: list[str], argv: tuple[str, ...]) -> None:
    result = CliRunner().invoke(command, said, env={"SIZE": "7"}, catch_exceptions=False)
    assert result.output == f"{argv}\n"
    assert CliRunner().invoke(command, argv).output == result.output, "and understood"
