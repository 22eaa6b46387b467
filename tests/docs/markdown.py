"""The project's Markdown files, and what tests want to know of them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
PAGES: Final = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "worker/**/*.md", "models/**/*.md", "examples/**/*.md")
    for page in ROOT.glob(pattern)
)
_FENCE: Final = re.compile(r"^\s*(?:```|~~~)")
_LINK: Final = re.compile(r"!?\[(?P<text>[^\]]*)\]\((?P<target>[^)\s]+)(?:\s+\"[^\"]*\")?\)")
_CODE: Final = re.compile(r"`[^`]*`")
_HEADING: Final = re.compile(r"^#{1,6}\s+(?P<title>.*?)\s*#*$")
_ANCHOR: Final = re.compile(r"<a (?:id|name)=\"(?P<id>[^\"]+)\"")


def prose(text: str) -> Iterator[tuple[int, str]]:
    """The lines outside of fenced code, each with its number."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if _FENCE.match(line):
            fenced = not fenced
        elif not fenced:
            yield number, line


def code_blocks(text: str, title: str) -> Iterator[tuple[str, str]]:
    """The language and the text of each fenced block below a heading, up to the next one."""
    section, language, lines = "", "", list[str]()
    fenced = False
    for line in text.splitlines():
        if _FENCE.match(line):
            if fenced and section == title:
                yield language, "\n".join(lines)
            fenced = not fenced
            language, lines = line.strip("`~ "), []
        elif fenced:
            lines.append(line)
        elif heading := _HEADING.match(line):
            section = heading["title"]


def links(text: str) -> Iterator[str]:
    """The targets of all links and images, also of those whose text goes on in the next line."""
    lines = [_CODE.sub("code", line) for _, line in prose(text)]
    for link in _LINK.finditer("\n".join(lines)):
        yield link["target"]


def anchors(text: str) -> set[str]:
    """What a link may name behind its `#`: headings as GitHub spells them, and explicit anchors."""
    found: set[str] = set()
    seen: Counter[str] = Counter()
    for _, line in prose(text):
        found |= {anchor["id"] for anchor in _ANCHOR.finditer(line)}
        if heading := _HEADING.match(line):
            slug = _slug(heading["title"])
            found.add(f"{slug}-{seen[slug]}" if seen[slug] else slug)
            seen[slug] += 1
    return found


def cells(line: str) -> list[str]:
    """A table row's cells as a reader sees them: without the targets of links. None elsewhere."""
    if not line.startswith("|"):
        return []
    plain = _LINK.sub(lambda link: link["text"], line)
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", plain)[1:-1]]


def code_spans(text: str) -> Iterator[str]:
    """What stands between backticks outside of fenced code."""
    for _, line in prose(text):
        for span in _CODE.finditer(line):
            yield span.group().strip("`")


def _slug(title: str) -> str:
    """As github-slugger has it: lower case, no punctuation but - and _, blanks become -."""
    plain = _LINK.sub(lambda link: link["text"], title)
    plain = re.sub(r"<[^>]+>", "", plain)
    return re.sub(r"[^\w\- ]", "", plain.lower()).replace(" ", "-")
