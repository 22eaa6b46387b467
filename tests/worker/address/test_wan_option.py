import click
import pytest
from click.testing import CliRunner

from tests.support.fake_docker_engine import engine
from tfleet.contract.address import Address, BadAddressError
from tfleet.worker.address.docker_port import NotPublishedError
from tfleet.worker.address.wan_option import FindWan, advertise_wan_option, parse_wan


def test_a_given_address_is_used() -> None:
    assert parse_wan("gpu1.example.com:9000")(8000) == Address("gpu1.example.com", 9000)


@pytest.mark.parametrize("text", ["docker", "gpu1:docker", "[2001:db8::9]:docker"])
def test_the_engine_is_asked_on_demand(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    find = parse_wan(text)
    with engine({}) as where:
        monkeypatch.setenv("DOCKER_HOST", f"tcp://{where}")
        with pytest.raises(NotPublishedError, match="does not run this worker's container"):
            find(8000)


@pytest.mark.parametrize("text", ["gpu1", ":docker", "a/b:docker", "gpu1:podman", "gpu1:0"])
def test_any_other_value_is_refused(text: str) -> None:
    with pytest.raises(BadAddressError):
        parse_wan(text)


@pytest.mark.parametrize(("given", "expected"), [((), "None"), (("--advertise-wan", "h:1"), "h:1")])
def test_without_the_option_there_is_no_such_address(given: tuple[str, ...], expected: str) -> None:
    @click.command
    @advertise_wan_option
    def command(find_wan: FindWan | None) -> None:
        click.echo(str(find_wan and find_wan(8000)))

    assert expected in CliRunner().invoke(command, given).output
    wrong = CliRunner().invoke(command, ["--advertise-wan", "gpu1"])
    assert wrong.exit_code == 2
    assert "--advertise-wan: 'gpu1'" in wrong.output
