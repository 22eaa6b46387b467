"""What can be wrong with an image. Each class stands for one HTTP status; messages are written for the
client.
"""

from __future__ import annotations


class ImageError(Exception):
    """The image cannot be classified. The message is one line: what is wrong and what to do."""


class NoImageError(ImageError):
    """There are no bytes, or they are not an image (400)."""


class BrokenImageError(ImageError):
    """A supported format, but truncated or corrupt (400)."""


class UnsupportedFormatError(ImageError):
    """An image or document in a format that is recognised but not supported (415)."""


class TooManyPixelsError(ImageError):
    """More pixels than the limit, according to the header; nothing was decoded (413)."""


class TooCostlyError(ImageError):
    """Decoding took more time or memory than one image may use (413)."""
