"""The images are built from all packages: one that is left out fails only when a container starts."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_each_package_is_part_of_the_build() -> None:
    packages = {link.name for link in (ROOT / "src" / "tfleet").iterdir() if link.is_symlink()}
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert sorted(packages - sent) == []
    assert len(packages) > 5
