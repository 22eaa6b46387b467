"""Which photographs show the same picture. No model is asked: the vectors are small pictures in colour."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from tests.support.photos import PHOTOS
from tfleet.training.near_duplicates import Alike, alike_vectors, same_pictures, sketch

Alter = Callable[[Image.Image], Image.Image]


def recompressed(image: Image.Image) -> Image.Image:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=20)
    return Image.open(buffer)


def cropped(image: Image.Image, share: float) -> Image.Image:
    return ImageOps.crop(image, round(share * min(image.size)))


ALTERED: dict[str, Alter] = {
    "smaller": lambda image: image.resize((image.width // 3, image.height // 3)),
    "recompressed": recompressed,
    "cropped": lambda image: cropped(image, 0.06),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "grey": ImageOps.grayscale,
    "mirrored": ImageOps.mirror,
    "cropped and mirrored": lambda image: ImageOps.mirror(cropped(image, 0.04)),
}


def pixels(image: Image.Image) -> npt.NDArray[np.uint8]:
    return np.asarray(ImageOps.fit(image.convert("RGB"), (224, 224)))


def sketches(images: Sequence[Image.Image]) -> npt.NDArray[np.uint8]:
    return np.stack([sketch(pixels(each)) for each in images])


def all_pairs(count: int, cosine: float) -> Alike:
    pairs = np.argwhere(np.triu(np.ones((count, count), dtype=bool), 1))
    return Alike(pairs, np.full(len(pairs), cosine, dtype=np.float32))


def found(images: Sequence[Image.Image], cosine: float) -> list[list[int]]:
    alike = all_pairs(len(images), cosine)
    same = same_pictures(alike, sketches(images), np.ones(len(images), dtype=bool))
    return [list(each) for each in same.tolist()]


@pytest.mark.parametrize("name", ALTERED)
def test_an_altered_copy_is_the_same_picture(name: str) -> None:
    originals = [Image.open(path) for _, path in sorted(PHOTOS.items())]
    copies = [ALTERED[name](each) for each in originals]
    assert found(originals + copies, 0.85) == [[each, each + 4] for each in range(4)]


def test_crops_of_other_parts_are_other_pictures() -> None:
    whole = Image.open(PHOTOS["coffee"])
    width, height = whole.size
    parts = [
        whole.crop((x, y, x + width // 2, y + height // 2)) for x in (0, width // 2) for y in (0, height // 2)
    ]
    assert found(parts, 0.85) == []


def outline(legs: Sequence[int]) -> Image.Image:
    """The outline of an animal, with legs at these places."""
    image = Image.new("RGB", (224, 224))
    draw = ImageDraw.Draw(image)
    draw.ellipse((30, 60, 190, 140), fill="white")
    for each in legs:
        draw.rectangle((each, 120, each + 14, 190), fill="white")
    return image


def test_outlines_that_are_alike_are_other_pictures() -> None:
    standing, walking = outline((60, 80, 140, 160)), outline((45, 80, 140, 175))
    alike, other = (sketch(pixels(each)).ravel().astype(float) for each in (standing, walking))
    assert np.corrcoef(alike, other)[0, 1] > 0.85, "they are alike"
    copy = recompressed(standing.resize((112, 112)))
    assert found([standing, walking, cropped(walking, 0.05), copy], 0.95) == [[0, 3]]


def test_a_picture_of_one_colour_is_like_no_other() -> None:
    assert found([Image.new("RGB", (300, 300), colour) for colour in ("red", "green", "white")], 0.9) == []


def test_what_cannot_be_looked_at_has_no_pair() -> None:
    images = [Image.open(PHOTOS["cat"])] * 3
    known = np.array([True, False, True])
    assert same_pictures(all_pairs(3, 0.9), sketches(images), known).tolist() == [[0, 2]]


def test_a_sketch_is_the_mean_grey_of_its_cells() -> None:
    image = np.zeros((32, 48, 3), dtype=np.uint8)
    image[:2, :3] = 255, 0, 0
    image[-2:, -3:] = 255
    made = sketch(image)
    assert (made.shape, made.dtype.name) == ((16, 16), "uint8")
    assert (made[0, 0], made[-1, -1], made.sum()) == (76, 255, 331)


def directions(count: int, dimensions: int = 256) -> npt.NDArray[np.float16]:
    """Vectors that have much in common, and else nothing."""
    random = np.random.default_rng(7).normal(size=(count, dimensions))
    return (random + 1).astype(np.float16)


@pytest.mark.parametrize("count", [2, 300, 9000])
def test_like_vectors_are_found_among_many(count: int) -> None:
    vectors = directions(count)
    vectors[count - 1] = vectors[0] * np.float16(1.02)
    alike = alike_vectors(vectors)
    assert [0, count - 1] in alike.pairs.tolist()
    assert alike.cosines[alike.pairs.tolist().index([0, count - 1])] > 0.95
    assert len(alike.pairs) == 1, "what all have in common makes none alike"


def test_very_many_like_vectors_are_connected_by_few_pairs() -> None:
    vectors = np.repeat(directions(2), [3000, 200], axis=0)
    vectors += np.random.default_rng(8).normal(0, 0.01, vectors.shape).astype(np.float16)
    alike = alike_vectors(vectors)
    assert len(alike.pairs) <= 32 * len(vectors)
    linked = {int(each) for each in alike.pairs[:, 0]}
    assert linked == set(range(3200)) - {2999, 3199}, "each is paired with a later one, but the last"


def test_no_vectors_are_no_error() -> None:
    assert len(alike_vectors(directions(0)).pairs) == len(alike_vectors(directions(1)).pairs) == 0
