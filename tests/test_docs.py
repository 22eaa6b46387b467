"""The README's commands name files that exist; tests/docs/ looks at the other pages."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"```(?:bash|python)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"(?<![\w/.:-])(?:(?:[\w-]+/)+[\w.-]*|[\w-]+\.(?:jpg|pb|txt|yml|toml|sh))(?![\w/:])")


def test_the_readme_mentions_only_what_is_there() -> None:
    """Files and folders in its code, from where a line before has gone to."""
    missing = []
    for block in BLOCK.findall((ROOT / "README.md").read_text()):
        folder = ROOT
        for line in block.splitlines():
            code = line.partition("#")[0]
            missing += [name for name in FILE.findall(code) if not _is_there(folder / name)]
            folder /= code.removeprefix("cd ").strip() if code.startswith("cd ") else ""
    assert missing == []


def _is_there(path: Path) -> bool:
    """Also where the reader stands since the first screen."""
    return path.exists() or (ROOT / "tests" / "data" / path.name).exists()
