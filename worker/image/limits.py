"""How large a decoded image may be, and how many decoded pixels all threads together may hold."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from tfleet.worker.decoders.limits import PoolLimits
from tfleet.worker.image.errors import TooManyPixelsError


class PixelBudget:
    """Lets threads hold decoded pixels up to a total; beyond it they wait. One thread alone may hold any
    number.
    """

    def __init__(self) -> None:
        self._held = 0
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        return f"<PixelBudget held={self._held}>"

    @contextlib.contextmanager
    def hold(self, pixels: int, total: int) -> Iterator[None]:
        """Wait until `pixels` fit into `total` beside those of all others, and hold them inside the block.

        Blocks must not be nested: two threads could wait for each other.
        """
        with self._changed:
            # Without `not self._held` an image larger than the total would wait for ever.
            self._changed.wait_for(lambda: not self._held or self._held + pixels <= total)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


# Enough for the full resolution of today's cameras (48 and 50 megapixels: 8192 x 6144). It costs 256 MB for
# each copy, as Pillow holds a colour pixel in 4 bytes.
DEFAULT_MAX_PIXELS: Final = 64_000_000

# The longest side of a JPEG or a GIF. PNG and BMP allow 2**31, where the resampler's table of weights (about
# 32 bytes per pixel of the side) would be larger than an image that is one pixel high.
MAX_SIDE: Final = 65_535

_SHARE: Final = 4

# Bytes per pixel of the most costly format, see cost.py.
_PIXEL_BYTES: Final = 20
# The rest of a decoder's address space: the interpreter, its libraries, and what they reserve.
_PROGRAM_BYTES: Final = 640 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """`max_pixels` is the largest width times height of an image.

    All threads together hold at most a quarter of it in decoded images: those that they decode are small. A
    larger image is decoded alone.
    """

    max_pixels: int = DEFAULT_MAX_PIXELS
    _budget: PixelBudget = field(default_factory=PixelBudget, init=False, compare=False)

    def held(self, width: int, height: int) -> contextlib.AbstractContextManager[None]:
        """Wait until there is room for a decoded image of this size in pixels, and keep it inside the
        block.
        """
        return self._budget.hold(width * height, self.max_pixels // _SHARE)

    def check(self, width: int, height: int) -> None:
        """Raise `TooManyPixelsError` if an image of this size in pixels exceeds the limits."""
        if width * height > self.max_pixels:
            raise TooManyPixelsError(
                f"the image has {width} x {height} pixels and --max-pixels allows {self.max_pixels}: "
                "send a smaller image"
            )
        if max(width, height) > MAX_SIDE:
            raise TooManyPixelsError(
                f"the image has {width} x {height} pixels and no side may be longer than {MAX_SIDE}: "
                "send a smaller image"
            )

    def decoders(self, cpus: int, timeout_s: float) -> PoolLimits:
        """The limits of the decoder processes on `cpus` CPUs; one image may take `timeout_s` of CPU time."""
        memory_bytes = self.max_pixels * _PIXEL_BYTES
        return dataclasses.replace(
            PoolLimits.for_cpus(cpus),
            decode_timeout_s=timeout_s,
            memory_bytes=memory_bytes,
            address_space_bytes=memory_bytes + _PROGRAM_BYTES,
        )
