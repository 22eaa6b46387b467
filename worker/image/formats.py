"""Recognise the format of an image by its first bytes, and read its header. Nothing is decoded.

A file's name and media type are not trusted.
"""

from __future__ import annotations

import importlib.util
import re
import struct
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Final

from tfleet.worker.image.errors import BrokenImageError, NoImageError, UnsupportedFormatError
from tfleet.worker.image.headers import bmp, gif, heif, jpeg, png, webp
from tfleet.worker.image.headers.header import Header, HeaderError, LimitExceededError, UnsupportedKindError
from tfleet.worker.image.limits import ImageLimits

# Pillow's names of the supported formats. HEIC needs the extra tfleet[heif].
SUPPORTED: Final = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF")
HEIC: Final = "HEIC"

_TIFF_NAME: Final = "TIFF (or a camera's raw picture: DNG, NEF, ARW)"
_TIFF: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_PREFIXES: Final = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"IIRO", "a camera's raw picture (ORF)"),
    (b"IIRS", "a camera's raw picture (ORF)"),
    (b"MMOR", "a camera's raw picture (ORF)"),
    (b"IIU\0", "a camera's raw picture (RW2)"),
    (b"FUJIFILMCCD-RAW", "a camera's raw picture (RAF)"),
    (b"FOVb", "a camera's raw picture (X3F)"),
    (b"\0MRM", "a camera's raw picture (MRW)"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JPEG XL"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x8aMNG\r\n\x1a\n", "MNG"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"icns", "ICNS"),
    (b"8BPS", "PSD"),
    (b"%PDF-", "PDF"),
    (b"%!PS", "PostScript"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"\x76\x2f\x31\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"SIMPLE  =", "FITS"),
)

# Formats that a prefix does not identify. "BM" begins many texts, but the header size at offset 14 has few
# values.
_PATTERNS: Final = (
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), "BMP"),
    (re.compile(rb"P[1-7][ \t\r\n#]"), "Netpbm"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<svg[\s>]|<(?:\?xml|!--|!DOCTYPE)[^\0]*<svg[\s>])", re.I), "SVG"),
    (re.compile(rb"\x00\x00\x02\x00[^\x00]\x00"), "CUR"),
    (re.compile(rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]"), "PCX"),
    (re.compile(rb"\x01\xda[\x00\x01][\x01\x02]\x00[\x01-\x03]"), "SGI"),
    (re.compile(rb".{4}[\x11\x12\x44]\xaf", re.DOTALL), "FLI or FLC"),
    # TGA has no signature at its front. This pattern asks for: no id, a colour map or none, a known image
    # type, no first entry, an origin of 0, and a depth of 8 to 32 bits.
    (
        re.compile(
            rb"\x00[\x00\x01][\x01-\x03\x09-\x0b]\x00\x00.{2}[\x00\x0f\x10\x18\x20]\x00\x00.{6}[\x08\x0f\x10\x18\x20]",
            re.DOTALL,
        ),
        "TGA",
    ),
)
# Enough to find the element <svg> after the comments that drawing programs begin with.
_HEAD: Final = 1024
_TGA_FOOTER: Final = b"TRUEVISION-XFILE.\0"

# ISO base media files name their kind in the brands after `ftyp` (ISO/IEC 23008-12 for the HEIF family). The
# first known image brand counts; `mif1` and `msf1` say only that it is of the HEIF family.
_BRANDS: Final = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), HEIC),
    b"crx ": "a camera's raw picture (CR3)",
}
_FAMILY: Final = frozenset({b"mif1", b"msf1"})

# Mail programs, forms and scripts put these in front of a file: line ends, blanks, a byte order mark.
_LEADING_BLANKS: Final = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff|[\r\n\t ]){1,16}")
# Signatures that show where an image begins inside other bytes: long enough not to occur by chance.
_INSIDE: Final = re.compile(
    rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBPVP8", re.DOTALL
)
_SEARCHED: Final = 64 * 1024


def sniff(data: bytes) -> str | None:
    """The format's name: one of `SUPPORTED`, `HEIC` or an unsupported one; None where it is no image."""
    head = data[:_HEAD]
    if head.startswith(_TIFF):
        return "a camera's raw picture (CR2)" if head[8:10] == b"CR" else _TIFF_NAME
    for prefix, name in _PREFIXES:
        if head.startswith(prefix):
            return name
    if head[4:8] == b"ftyp":
        return _brand(head)
    if data.endswith(_TGA_FOOTER):
        return "TGA"
    return next((name for pattern, name in _PATTERNS if pattern.match(head)), None)


def leading_blank_bytes(data: bytes) -> int:
    """How many bytes of line ends, blanks or a byte order mark precede an image; 0 where no image follows."""
    blanks = _LEADING_BLANKS.match(data)
    if blanks is None or sniff(data[blanks.end() : blanks.end() + _HEAD]) not in SUPPORTED:
        return 0
    return blanks.end()


def embedded_picture(data: bytes) -> tuple[str, int] | None:
    """The format of an image that begins inside the data, and the offset of its first byte; None without
    one.
    """
    found = _INSIDE.search(data, 1, _SEARCHED)
    if found is None:
        return None
    return str(sniff(data[found.start() : found.start() + _HEAD])), found.start()


def _brand(head: bytes) -> str:
    end = min(int.from_bytes(head[:4], "big"), len(head))
    brands = [head[8:12], *(head[at : at + 4] for at in range(16, end - 3, 4))]
    named = next((_BRANDS[brand] for brand in brands if brand in _BRANDS), None)
    if named is None:
        return "HEIF" if _FAMILY & set(brands) else "MP4"
    return named


_READERS: Final[Mapping[str, Callable[[bytes], Header]]] = {
    "JPEG": jpeg.read,
    "PNG": png.read,
    "GIF": gif.read,
    "WEBP": webp.read,
    "BMP": bmp.read,
    "AVIF": partial(heif.read, format_name="AVIF"),
    HEIC: partial(heif.read, format_name=HEIC),
}
_HEIF_LIBRARY: Final = "pillow_heif"


def read_header(data: bytes, limits: ImageLimits) -> Header:
    """Read the header of an image and check its size against the limits.

    Raises `NoImageError`, `UnsupportedFormatError`, `BrokenImageError` or `TooManyPixelsError`.
    """
    if not data:
        raise NoImageError("the image is empty: send the bytes of an image")
    format_name = sniff(data)
    if format_name is None and (blanks := leading_blank_bytes(data)):
        data = data[blanks:]
        format_name = sniff(data)
    if format_name is None:
        raise NoImageError(_no_image(data))
    if format_name not in _READERS:
        raise UnsupportedFormatError(_not_supported(format_name))
    if format_name == HEIC and not heic_is_installed():
        raise UnsupportedFormatError(
            "this worker does not support HEIC: install the extra tfleet[heif], or convert the image to "
            f"one of {', '.join(SUPPORTED)}"
        )
    try:
        header = _READERS[format_name](data)
    except UnsupportedKindError as error:
        raise UnsupportedFormatError(_not_supported(str(error))) from error
    except LimitExceededError as error:
        raise BrokenImageError(f"the {format_name} image has {error}: save it again without them") from error
    except (HeaderError, struct.error, IndexError) as error:
        reason = str(error) if isinstance(error, HeaderError) else "its header is cut off"
        raise damaged_image(format_name, reason) from error
    # The limits come first: a client whose image is too large should read that, not that the image is cut
    # off.
    limits.check(header.width, header.height)
    if not header.complete:
        raise damaged_image(format_name, "pixels are missing at its end")
    return header


def damaged_image(format_name: str, reason: str) -> BrokenImageError:
    """The error for a damaged image; `reason` is a few words."""
    return BrokenImageError(
        f"the {format_name} image is damaged or cut off ({reason}): send the whole, intact file"
    )


@cache
def heic_is_installed() -> bool:
    """Whether pillow-heif is installed. Only decoder processes import it, for the safety of the worker."""
    return importlib.util.find_spec(_HEIF_LIBRARY) is not None


def _not_supported(what: str) -> str:
    return f"{what} is not supported: convert the image to one of {', '.join(SUPPORTED)}"


def _no_image(data: bytes) -> str:
    if inside := embedded_picture(data):
        format_name, start = inside
        return (
            f"these bytes are not an image, but a {format_name} begins at byte {start}: send it from there on"
        )
    return f"these bytes are not an image: send one of {', '.join(SUPPORTED)}"
