"""Which of many photographs show the same picture: at another size or quality, mirrored, or cropped. Pure.

Two kinds of evidence have to agree, for each alone is wrong too often:

- The vectors of the model: their cosine, centred, is high for the same picture, but also for two dishes that
  are alike. It picks the pairs to look at.
- A sketch: 16 x 16 grey values of what the model sees. Two sketches are laid upon each other, one of them
  cropped and mirrored in many ways, and correlated. Different photographs of one dish do not get far here.
  Outlines of two bears may, but somewhere they differ by much, and copies nowhere do.

The limits were chosen on 542 photographs of food and altered copies of each, see `tests/training`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

import numpy as np
import numpy.typing as npt

SKETCH_SIDE: Final = 16
LEAST_COSINE: Final = 0.5
"""Of the pairs that are looked at. A copy a third as wide of a picture 300 pixels wide may have less."""

_Floats = npt.NDArray[np.float32]
_Pairs = npt.NDArray[np.intp]

_USUAL: Final = 100  # photographs: the mean of fewer says less of what they have in common
_DIRECT: Final = 4096  # photographs that are compared by all of their dimensions
_AXES: Final = 96  # principal axes by which more photographs are compared first
_BLOCK: Final = 4_000_000  # cosines at a time: 16 MB
_MOST_PARTNERS: Final = 32  # of a photograph that are looked at: the nearest
_MOST_FITTED: Final = 5_000  # pairs for which crops are tried: the nearest
_FITTED_AT_ONCE: Final = 64

_LEAST_FIT: Final = 0.85
_LEAST_SUM: Final = 1.74  # of correlation and cosine
_SURE_FIT: Final = 0.96  # enough without much of a cosine
_LARGEST_DIFFERENCE: Final = 1.1  # of two cells, in standard deviations of a sketch
_LARGEST_DIFFERENCE_OF_CROPS: Final = 2.0
_MOST_BLANK: Final = 0.35  # of a sketch: crops of an outline on a blank ground fit any outline like it
_BLANK: Final = 0.04  # of the range of a sketch
_GREY: Final = np.array([0.299, 0.587, 0.114], dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Alike:
    """Pairs [pairs, 2] of rows, the smaller first, with the cosine [pairs] of their vectors."""

    pairs: _Pairs
    cosines: _Floats


def sketch(pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """`uint8[16, 16]`, grey, of `uint8[height, width, 3]`; height and width are multiples of 16."""
    height, width = pixels.shape[0] // SKETCH_SIDE, pixels.shape[1] // SKETCH_SIDE
    grey = (pixels @ _GREY).reshape(SKETCH_SIDE, height, SKETCH_SIDE, width)
    found: npt.NDArray[np.uint8] = np.rint(grey.mean(axis=(1, 3))).astype(np.uint8)
    return found


def alike_vectors(vectors: npt.NDArray[Any]) -> Alike:
    """The pairs of rows of vectors [photos, dimensions] that may show the same picture.

    Of a row with very many, the nearest: rows that are all alike are still connected by pairs.
    """
    if len(vectors) < 2:  # noqa: PLR2004 a pair
        return Alike(np.zeros((0, 2), np.intp), np.zeros(0, np.float32))
    centre = vectors.mean(axis=0, dtype=np.float32) * np.float32(len(vectors) / (len(vectors) + _USUAL))
    short = _directions(vectors, centre, _axes(vectors, centre))
    pairs = np.concatenate(list(_near_pairs(short)))
    cosines = np.concatenate([np.zeros(0, np.float32), *_cosines(vectors, centre, pairs)])
    near = cosines >= LEAST_COSINE
    return Alike(pairs[near], cosines[near])


def same_pictures(alike: Alike, sketches: npt.NDArray[np.uint8], known: npt.NDArray[np.bool_]) -> _Pairs:
    """Those pairs that do show the same picture.

    `sketches` are [photos, 16, 16]. `known` [photos] says which there are; the others have no pair.
    """
    there = known[alike.pairs].all(axis=1)
    pairs, cosines = alike.pairs[there], alike.cosines[there]
    flat = _standardized(sketches.reshape(len(sketches), SKETCH_SIDE**2).astype(np.float32))
    found = np.zeros(len(pairs), dtype=np.bool_)
    for start in range(0, len(pairs), _DIRECT):
        part = slice(start, start + _DIRECT)
        one, other = flat[pairs[part, 0]], flat[pairs[part, 1]]
        fits = np.einsum("pd,pd->p", one, other)
        found[part] = _are_same(fits, _difference(one, other), cosines[part], _LARGEST_DIFFERENCE)
    full = (_blank(sketches) <= _MOST_BLANK)[pairs].all(axis=1)
    rest = np.flatnonzero(~found & full & (cosines >= _LEAST_SUM - 1))
    rest = rest[np.argsort(-cosines[rest], kind="stable")][:_MOST_FITTED]
    for start in range(0, len(rest), _FITTED_AT_ONCE):
        piece = rest[start : start + _FITTED_AT_ONCE]
        found[piece] = _are_same(
            *_best_fits(sketches, flat, pairs[piece]), cosines[piece], _LARGEST_DIFFERENCE_OF_CROPS
        )
    return pairs[found]


def _are_same(fits: _Floats, differences: _Floats, cosines: _Floats, largest: float) -> npt.NDArray[np.bool_]:
    likely = (fits >= _SURE_FIT) | ((fits >= _LEAST_FIT) & (fits + cosines >= _LEAST_SUM))
    return likely & (differences <= largest)


def _blank(sketches: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The share [photos] of cells that are nearly as dark as the darkest one, or as light as the lightest."""
    cells = sketches.reshape(len(sketches), SKETCH_SIDE**2).astype(np.float32)
    darkest, lightest = cells.min(axis=1, keepdims=True), cells.max(axis=1, keepdims=True)
    near = _BLANK * (lightest - darkest)
    shares = (cells <= darkest + near).mean(axis=1), (cells >= lightest - near).mean(axis=1)
    return np.asarray(np.maximum(*shares), dtype=np.float64)


def _difference(one: _Floats, other: _Floats) -> _Floats:
    """The largest difference [pairs] of two standardized sketches' cells, in standard deviations."""
    return np.asarray(np.abs(one - other).max(axis=1) * SKETCH_SIDE, dtype=np.float32)


def _axes(vectors: npt.NDArray[Any], centre: _Floats) -> _Floats | None:
    """The principal axes [dimensions, 96] of many vectors; None for few, which need no short cut."""
    if len(vectors) <= _DIRECT or vectors.shape[1] <= _AXES:
        return None
    some = vectors[:: -(-len(vectors) // _DIRECT)].astype(np.float32) - centre
    _, axes = np.linalg.eigh(some.T @ some)
    return np.ascontiguousarray(axes[:, -_AXES:])


def _directions(vectors: npt.NDArray[Any], centre: _Floats, axes: _Floats | None) -> _Floats:
    """The vectors from the centre, with length 1, in the coordinates of the axes."""
    pieces = []
    for start in range(0, len(vectors), _DIRECT):
        piece = vectors[start : start + _DIRECT].astype(np.float32) - centre
        pieces.append(_with_length_one(piece if axes is None else piece @ axes))
    return np.concatenate(pieces)


def _near_pairs(directions: _Floats) -> Iterator[_Pairs]:
    """Pairs by the cosine of directions of length 1, block by block: all cosines at once would not fit."""
    count = len(directions)
    rows = max(1, _BLOCK // count)
    for start in range(0, count, rows):
        stop = min(start + rows, count)
        cosines = directions[start:stop] @ directions[start:].T
        cosines[np.tril_indices(stop - start, 0, cosines.shape[1])] = 0.0  # each pair once
        near = cosines >= LEAST_COSINE
        for row in np.flatnonzero(near.sum(axis=1) > _MOST_PARTNERS):
            least = np.partition(cosines[row], -_MOST_PARTNERS)[-_MOST_PARTNERS]
            kept = np.flatnonzero(cosines[row] >= least)[:_MOST_PARTNERS]
            near[row] = False
            near[row, kept] = True
        yield np.argwhere(near) + start


def _cosines(vectors: npt.NDArray[Any], centre: _Floats, pairs: _Pairs) -> Iterator[_Floats]:
    for start in range(0, len(pairs), _DIRECT):
        one, other = pairs[start : start + _DIRECT].T
        first = _with_length_one(vectors[one].astype(np.float32) - centre)
        second = _with_length_one(vectors[other].astype(np.float32) - centre)
        yield np.einsum("pd,pd->p", first, second)


def _best_fits(sketches: npt.NDArray[np.uint8], flat: _Floats, pairs: _Pairs) -> tuple[_Floats, _Floats]:
    """The best correlation [pairs] of one sketch's crops, plain or mirrored, with the other one.

    With it comes the largest difference [pairs] of that crop.
    """
    best = np.full(len(pairs), -1.0, dtype=np.float32)
    differences = np.zeros(len(pairs), dtype=np.float32)
    rows = np.arange(len(pairs))
    for one, other in (pairs.T, pairs.T[::-1]):
        for side in (1, -1):
            whole = sketches[one][:, :, ::side].reshape(len(pairs), -1).astype(np.float32)
            crops = _standardized((whole @ _crops()).reshape(len(pairs), -1, SKETCH_SIDE**2))
            fits = np.einsum("pcd,pd->pc", crops, flat[other])
            chosen = fits.argmax(axis=1)
            better = fits[rows, chosen] > best
            best = np.where(better, fits[rows, chosen], best)
            differences = np.where(better, _difference(crops[rows, chosen], flat[other]), differences)
    return best, differences


@cache
def _crops() -> _Floats:
    """What makes crops of a sketch [256], each stretched to its size: float32[256, crops * 256]."""
    found = []
    for kept in (1.0, 0.95, 0.9, 0.85, 0.8):
        places = np.linspace(0, SKETCH_SIDE * (1 - kept), 1 if kept == 1 else 3 if kept > 0.9 else 5)  # noqa: PLR2004
        lines = [_interpolation(place, SKETCH_SIDE * kept) for place in places]
        found += [np.kron(down, across) for down in lines for across in lines]
    return np.ascontiguousarray(np.concatenate(found).T)


def _interpolation(start: float, length: float) -> _Floats:
    """Weights [16, 16] that stretch `length` cells from `start` on to 16."""
    places = np.clip(start + (np.arange(SKETCH_SIDE) + 0.5) * length / SKETCH_SIDE - 0.5, 0, SKETCH_SIDE - 1)
    weights = 1 - np.abs(places[:, None] - np.arange(SKETCH_SIDE))
    return np.asarray(np.maximum(0, weights), dtype=np.float32)


def _standardized(rows: _Floats) -> _Floats:
    """With a mean of 0 and a length of 1 along the last axis; a picture of one colour becomes zeros."""
    centred: _Floats = rows - rows.mean(axis=-1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=-1, keepdims=True)
    return np.where(lengths > 1.0, centred / np.maximum(lengths, 1.0), np.float32(0))


def _with_length_one(rows: npt.NDArray[Any]) -> _Floats:
    lengths = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.asarray(rows / np.maximum(lengths, 1e-6), dtype=np.float32)
