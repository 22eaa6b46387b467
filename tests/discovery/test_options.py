import click
import pytest
from click.testing import CliRunner

from tfleet.contract.address import Address
from tfleet.discovery.consul.access import Access
from tfleet.discovery.options import chosen_registry, registry_options
from tfleet.discovery.registry import ConsulRegistry


def test_consul_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_HTTP_ADDR", "consul:80")
    monkeypatch.setenv("CONSUL_HTTP_TOKEN", "secret")
    assert chosen_registry(None, 1) == ConsulRegistry(Address("consul", 80), Access("secret"))


def test_an_unusable_file_ends_the_program_at_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CONSUL_CACERT", "/nowhere/ca.pem")
    assert chosen_registry("consul://consul", 1) == ConsulRegistry(Address("consul", 8500)), "not needed"
    with pytest.raises(click.UsageError, match=r"CONSUL_CACERT=/nowhere/ca[.]pem: no such file or directory"):
        chosen_registry("consul+https://consul", 1)


@pytest.mark.parametrize("name", ["", "two words", "a\r\nb", "é", "s" * 129, "../x"])
def test_a_service_s_name_is_plain_text(name: str) -> None:
    @click.command()
    @registry_options
    def command(**options: object) -> None:
        click.echo(options["service"])

    done = CliRunner().invoke(command, ["--service", name])
    assert done.exit_code == 2
    assert "is not a valid name: use letters, digits" in " ".join(done.output.split())
    assert CliRunner().invoke(command, ["--service", "pets/cats_2"]).output == "pets/cats_2\n"
