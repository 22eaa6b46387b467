"""The test photographs."""

from pathlib import Path

PHOTOS = {path.stem: path for path in (Path(__file__).parents[1] / "data").glob("*.jpg")}
