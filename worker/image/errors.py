"""What can be wrong with an image, named for what the caller answers; messages are for who sent it."""

from __future__ import annotations


class ImageError(Exception):
    """The image cannot be classified. The message is one line: what was wrong and what to do."""


class NoImageError(ImageError):
    """There are no bytes, or they are not a picture at all (400)."""


class BrokenImageError(ImageError):
    """A format that is read, but truncated or corrupt (400)."""


class UnsupportedFormatError(ImageError):
    """A picture or document in a format that is recognised and not read (415)."""


class TooManyPixelsError(ImageError):
    """More pixels than the limit, by its header; nothing was decoded (413)."""


class TooCostlyError(ImageError):
    """Decoding it took more time or memory than one picture may have (413)."""
