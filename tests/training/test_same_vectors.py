"""A photograph has the same vector where a model is trained and where it is served, whatever its form."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import requests
from PIL import Image

from tests.support.photos import PHOTOS
from tests.support.worker_http import serving
from tfleet.training.decoding import PhotoDecoder
from tfleet.training.local_embedder import LocalEmbedder, find_backbone, load_embedder

if TYPE_CHECKING:
    from tfleet.contract.address import Address

pytestmark = pytest.mark.process

_ORIENTATION = 0x112
_TURNED = 6
_TWELVE_MEGAPIXELS = (4000, 3000)


def _photo(name: str = "cat") -> Image.Image:
    return Image.open(PHOTOS[name]).convert("RGB")


def _file(picture: Image.Image, form: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, form, **options)
    return stream.getvalue()


def _turned() -> bytes:
    exif = Image.Exif()
    exif[_ORIENTATION] = _TURNED
    return _file(_photo(), "JPEG", exif=exif)


def _with_alpha() -> Image.Image:
    picture = _photo()
    shade = np.linspace(0, 255, picture.width, dtype=np.uint8)[None].repeat(picture.height, axis=0)
    picture.putalpha(Image.fromarray(shade))
    return picture


def _flat(picture: Image.Image) -> Image.Image:
    white = Image.new("RGBA", picture.size, "white")
    return Image.alpha_composite(white, picture).convert("RGB")


FORMS: Mapping[str, Callable[[], bytes]] = {
    "JPEG": PHOTOS["coffee"].read_bytes,
    "EXIF says turned": _turned,
    "CMYK": lambda: _file(_photo("hopper").convert("CMYK"), "JPEG"),
    "12 megapixels": lambda: _file(_photo("rocket").resize(_TWELVE_MEGAPIXELS), "JPEG", quality=80),
    "PNG with alpha": lambda: _file(_with_alpha(), "PNG", compress_level=1),
    "WebP": lambda: _file(_photo(), "WEBP", quality=70),
    "GIF with a palette": lambda: _file(_photo("coffee").quantize(64), "GIF"),
    "grey PNG": lambda: _file(_photo("rocket").convert("L"), "PNG", compress_level=1),
}


@pytest.fixture(scope="module")
def embedder() -> Iterator[LocalEmbedder]:
    """What `tfleet retrain` makes vectors with."""
    with closing(PhotoDecoder()) as decoder:
        with closing(load_embedder(find_backbone(None), decoder, None)) as embedder:
            yield embedder


@pytest.fixture(scope="module")
def worker(embedder: LocalEmbedder) -> Iterator[Address]:
    """A worker with the model. It decodes by itself."""
    with serving(embedder.classifier, max_body_bytes=20_000_000) as (address, _):
        yield address


def _served(worker: Address, photo: bytes) -> Any:
    answer = requests.post(
        f"{worker.url}/embed",
        data=photo,
        headers={"Content-Type": "image/jpeg", "Accept": "application/x-npy"},
        timeout=60,
    )
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content)), answer.headers["X-Embedding"]


@pytest.mark.parametrize("form", FORMS)
def test_a_form_has_one_vector(embedder: LocalEmbedder, worker: Address, form: str) -> None:
    photo = FORMS[form]()
    (trained_on,) = embedder.embed([photo])
    served, space = _served(worker, photo)
    assert not isinstance(trained_on, str)
    assert np.array_equal(trained_on, served)
    assert space == embedder.key


def test_photographs_in_a_batch_have_the_same_vectors(embedder: LocalEmbedder, worker: Address) -> None:
    photos = [make() for make in FORMS.values()]
    found = embedder.embed(photos)
    for photo, vector in zip(photos, found, strict=True):
        assert not isinstance(vector, str)
        # Sums of a batch may be in another order.
        assert np.abs(vector - _served(worker, photo)[0]).max() < 1e-5


def test_what_is_seen_counts_and_not_how_it_is_written(embedder: LocalEmbedder) -> None:
    def vector(photo: bytes) -> Any:
        return embedder.embed([photo])[0]

    def likeness(one: Any, other: Any) -> float:
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    upright, turned = vector(_file(_photo(), "JPEG")), vector(_turned())
    by_hand = vector(_file(_photo().transpose(Image.Transpose.ROTATE_270), "PNG", compress_level=1))
    assert likeness(turned, by_hand) > 0.98 > likeness(turned, upright)
    flat = vector(_file(_flat(_with_alpha()), "PNG", compress_level=1))
    assert np.array_equal(vector(_file(_with_alpha(), "PNG", compress_level=1)), flat)
