"""What the documents point at is there, and nothing in them was left to be filled in."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("worker/**/*.md")])
LINK = re.compile(r"!?\[[^\]]*\]\(([^)#\s]+)[^)]*\)")
TEST_FILE = re.compile(r"`(?:tests/[\w/]+/)?(test_\w+\.py)")
BLOCK = re.compile(r"```(?:bash|python)\n(.*?)```", re.DOTALL)
FILE = re.compile(r"(?<![\w/.:-])(?:(?:[\w-]+/)+[\w.-]*|[\w-]+\.(?:jpg|pb|txt|yml|toml|sh))(?![\w/:])")
LEFT_OPEN = re.compile(r"\b(?:TODO|FIXME|XXX|TBD|[A-Z]+_FIGURES)\b")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_points_at_what_is_there(page: Path) -> None:
    text = page.read_text()
    links = [link for link in LINK.findall(text) if "://" not in link]
    assert [link for link in links if not (page.parent / link).exists()] == []
    tests = {path.name for path in (ROOT / "tests").rglob("test_*.py")}
    assert [name for name in TEST_FILE.findall(text) if name not in tests] == []
    assert LEFT_OPEN.findall(text) == []


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
