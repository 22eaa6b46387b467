from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from tfleet.deploy.local.command import passed_on


@click.command()
@click.option("--own")
@click.option("-s", "--size-in-px", "size", type=int, default=3, envvar="SIZE")
@click.option("--mean", type=float)
@click.option("--test/--no-test", default=True)
@click.option("--loud", is_flag=True)
@click.option("--origin", multiple=True)
@click.pass_context
def command(ctx: click.Context, /, **_: object) -> None:
    click.echo(passed_on(ctx, {"size", "mean", "test", "loud", "origin"}))


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
