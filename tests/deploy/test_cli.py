from __future__ import annotations

import subprocess
import sys

import pytest
from click.testing import CliRunner

from tfleet import __version__
from tfleet.deploy.cli import cli

pytestmark = pytest.mark.process


COMMANDS = [
    *(
        "autoscale",
        "classify",
        "drain",
        "jobs dead",
        "jobs drop",
        "jobs list",
        "jobs retry",
        "label",
        "model check",
        "model convert",
        "model init",
        "model show",
        "models",
        "promote",
        "proxy",
        "prune",
    ),
    *("registry", "retrain", "rollback", "rollout", "scale", "score", "status", "train", "up", "worker"),
]


def test_help_lists_every_command_with_a_line() -> None:
    output = CliRunner().invoke(cli, ["--help"], prog_name="tfleet").output
    assert sorted(name for name, _ in cli.leaves()) == COMMANDS
    for name, command in cli.commands.items():
        assert f"  {name} " in output
        assert command.get_short_help_str() in output


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_where_the_program_looks_for_it(name: str) -> None:
    assert dict(cli.leaves())[name].load().name == name.rsplit(maxsplit=1)[-1]
    help_text = CliRunner().invoke(cli, [*name.split(), "--help"]).output
    assert "[env var: TFLEET_" in " ".join(help_text.split())


def test_python_m_tfleet_is_the_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tfleet", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"tfleet, version {__version__}\n"


def test_the_light_commands_import_neither_tensorflow_nor_flask() -> None:
    code = (
        "import sys\n"
        "from tfleet.deploy.cli import cli\n"
        "for name in ('proxy', 'registry', 'up', 'classify', 'status', 'drain', 'scale'):\n"
        "    cli([name, '--help'], standalone_mode=False)\n"
        "print(sorted({'tensorflow', 'flask', 'PIL'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
