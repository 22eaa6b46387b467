"""What the pages quote of log lines and error texts is what the code says."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path
from typing import Final

from tests.docs.markdown import ROOT, code_spans

PAGES = sorted([ROOT / "docs" / "runbook.md", ROOT / "docs" / "models.md", *ROOT.glob("docs/how-to/*.md")])
PROGRAMS: Final = frozenset(
    (
        *("consul", "curl", "docker", "journalctl", "make", "nomad", "pip", "redis", "sysctl", "tfleet"),
        *("histogram_quantile", "increase", "rate", "sum", "up"),
        "option",
    )
)
PLACEHOLDER: Final = "\0"
"""Where a value stands in a text of the code; the pages write `...`."""
FEWEST_WORDS: Final = 3
FEWEST_CHARS: Final = 12


def quoted(page: Path) -> list[str]:
    """The texts of at least three words that a page quotes, without commands and PromQL."""
    spans = (" ".join(span.split()) for span in code_spans(page.read_text()))
    return [span for span in spans if len(span.split()) >= FEWEST_WORDS and not _is_command(span)]


def _is_command(span: str) -> bool:
    return re.split(r"\W", span)[0] in PROGRAMS or re.search(r"[{}]|^\w+_\w+|^[A-Z_]+=", span) is not None


@cache
def literals() -> tuple[str, ...]:
    """Every text in the code, with a placeholder for each value."""
    found = []
    packages = (link.resolve() for link in (ROOT / "src" / "tfleet").iterdir() if link.is_dir())
    for path in (file for package in packages for file in package.glob("**/*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.JoinedStr):
                parts = (
                    part.value if isinstance(part, ast.Constant) else PLACEHOLDER for part in node.values
                )
                found.append("".join(map(str, parts)))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
    return tuple(found)


@cache
def patterns() -> tuple[re.Pattern[str], ...]:
    """What matches the texts with values in them, whatever the values; those that say enough."""
    split = (literal.split(PLACEHOLDER) for literal in literals() if PLACEHOLDER in literal)
    return tuple(
        re.compile(".+?".join(map(re.escape, parts)))
        for parts in split
        if len("".join(parts)) >= FEWEST_CHARS
    )


def is_said(text: str) -> bool:
    """Whether a text of the code contains it, or with its values is contained in it."""
    wanted = re.compile(".+?".join(map(re.escape, text.split("..."))))
    return any(map(wanted.search, literals())) or any(pattern.search(text) for pattern in patterns())


def test_quoted_texts_are_in_the_code() -> None:
    unsaid = {page.stem: [text for text in quoted(page) if not is_said(text)] for page in PAGES}
    assert {page: texts for page, texts in unsaid.items() if texts} == {}


def test_a_text_is_found_whatever_its_values() -> None:
    assert is_said("answered ... times in a row with an error")
    assert is_said("/readyz does not answer within 2 s")
    assert not is_said("the proxy has gone to lunch")
