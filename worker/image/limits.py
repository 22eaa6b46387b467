"""How many pixels all threads together may have decoded at a time.

How large a picture may be once it is decoded.
"""

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
    """Lets threads hold pixels up to a total, and waits beyond it; one alone may hold any number."""

    def __init__(self) -> None:
        self._held = 0
        self._changed = threading.Condition()

    def __repr__(self) -> str:
        return f"<PixelBudget held={self._held}>"

    @contextlib.contextmanager
    def hold(self, pixels: int, total: int) -> Iterator[None]:
        """Hold so many pixels inside the block, with all others at most `total`. Not to be nested."""
        with self._changed:
            self._changed.wait_for(lambda: not self._held or self._held + pixels <= total)
            self._held += pixels
        try:
            yield
        finally:
            with self._changed:
                self._held -= pixels
                self._changed.notify_all()


# Fits the full resolution of the cameras in use (48 and 50 megapixels: 8192 x 6144), and costs 256 MB a copy,
# as Pillow holds a colour pixel in 4 bytes.
DEFAULT_MAX_PIXELS: Final = 64_000_000

# The longest side that a JPEG or a GIF can have. PNG and BMP go to 2**31, where the resampler's table of
# weights (some 32 bytes for each pixel of the side) is larger than a picture that is one pixel high.
MAX_SIDE: Final = 65_535

_SHARE: Final = 4

# What the most costly picture takes for each pixel, see cost.py.
_PIXEL_BYTES: Final = 20
# What a decoder's address space has beside: the interpreter, its libraries, and what they reserve.
_PROGRAM_BYTES: Final = 640 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class ImageLimits:
    """`max_pixels`: width times height of a decoded image.

    All threads together hold a quarter of it at once, decoded: what they decode is small. One that is larger
    is decoded alone.
    """

    max_pixels: int = DEFAULT_MAX_PIXELS
    _budget: PixelBudget = field(default_factory=PixelBudget, init=False, compare=False)

    def held(self, width: int, height: int) -> contextlib.AbstractContextManager[None]:
        """Wait until there is room for a decoded picture of this size, and keep it inside the block."""
        return self._budget.hold(width * height, self.max_pixels // _SHARE)

    def check(self, width: int, height: int) -> None:
        """Raise `TooManyPixelsError` where a picture of this size, in pixels, is not to be decoded."""
        if width * height > self.max_pixels:
            raise TooManyPixelsError(
                f"the image has {width} x {height} pixels and --max-pixels allows {self.max_pixels}: "
                "send a smaller picture"
            )
        if max(width, height) > MAX_SIDE:
            raise TooManyPixelsError(
                f"the image has {width} x {height} pixels and no side may be longer than {MAX_SIDE}: "
                "send a smaller picture"
            )

    def decoders(self, cpus: int, timeout_s: float) -> PoolLimits:
        """Those of the decoder processes on so many CPUs; one picture may take `timeout_s` of CPU time."""
        memory_bytes = self.max_pixels * _PIXEL_BYTES
        return dataclasses.replace(
            PoolLimits.for_cpus(cpus),
            decode_timeout_s=timeout_s,
            memory_bytes=memory_bytes,
            address_space_bytes=memory_bytes + _PROGRAM_BYTES,
        )
