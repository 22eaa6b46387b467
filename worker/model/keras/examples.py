"""Inputs made up for a model of which only the shapes and types are known, and the comparison of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import Any, Final

import numpy as np

_BATCH: Final = 2
# What a dimension of any size is tried with: a sequence may be short, a picture has to be large enough.
_SIZES: Final = (8, 32, 64, 128, 256)
_WORDS: Final = ("a", "good", "film", "the", "bad", "dog", "2", "")
_RTOL, _ATOL = 1e-4, 1e-5
_HALF_RTOL, _HALF_ATOL = 3e-2, 1e-2  # bfloat16 keeps 8 bits; another order of sums changes the last two

_Maker = Callable[[np.random.Generator, tuple[int, ...], Any], Any]


def examples(inputs: Sequence[tuple[tuple[int | None, ...], Any]]) -> Iterator[list[Any]]:
    """Values for all inputs, the likeliest first. Each input is given by its shape and its NumPy type."""
    free = any(size is None for shape, _ in inputs for size in shape[1:])
    for size, make in product(_SIZES if free else _SIZES[:1], (_wide, _narrow, _zero)):
        rng = np.random.default_rng(1)
        yield [make(rng, _filled(shape, size), dtype) for shape, dtype in inputs]


def close(expected: Any, actual: Any, *, half: bool) -> bool:
    """Whether two answers are the same but for rounding; `half` if the model computes in 16 bits."""
    expected, actual = np.asarray(expected), np.asarray(actual)
    if expected.shape != actual.shape or expected.dtype != actual.dtype:
        return False
    if expected.dtype.kind in "OSUbiu":
        return bool(np.array_equal(expected, actual))
    wide = np.complex128 if expected.dtype.kind == "c" else np.float64
    rtol, atol = (_HALF_RTOL, _HALF_ATOL) if half else (_RTOL, _ATOL)
    return bool(np.allclose(expected.astype(wide), actual.astype(wide), rtol, atol, equal_nan=True))


def _filled(shape: tuple[int | None, ...], size: int) -> tuple[int, ...]:
    return tuple(
        known if known is not None else _BATCH if position == 0 else size
        for position, known in enumerate(shape)
    )


def _wide(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    """Pictures' bytes, small numbers, words. Floats may be indices, too: they are cut off to 0 to 3."""
    kind = np.dtype(dtype)
    if kind == np.uint8:
        return rng.integers(0, 256, shape).astype(np.uint8)
    if kind.kind in "iu":
        return rng.integers(0, 8, shape).astype(dtype)
    return _of_kind(rng, shape, dtype, 4.0)


def _narrow(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    """Numbers from 0 to 1: a table may have two entries only."""
    if np.dtype(dtype).kind in "iu":
        return rng.integers(0, 2, shape).astype(dtype)
    return _of_kind(rng, shape, dtype, 1.0)


def _zero(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any) -> Any:
    return np.full(shape, b"0", object) if np.dtype(dtype).kind in "OS" else np.zeros(shape, dtype)


def _of_kind(rng: np.random.Generator, shape: tuple[int, ...], dtype: Any, most: float) -> Any:
    kind = np.dtype(dtype).kind
    if kind in "OS":
        pairs = rng.choice(_WORDS, (*shape, 2)).reshape(-1, 2)
        words = [f"{first} {second}".strip() for first, second in pairs]
        return np.array([word.encode() for word in words], object).reshape(shape)
    if kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    return (rng.random(shape) * most).astype(dtype)
