"""Which format some bytes are in, by their first bytes: a file's name and media type are only claims.

From bytes to what their header says: the format, the size, and what decoding takes. Nothing is decoded.
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
from tfleet.worker.image.headers.header import BoundError, Header, HeaderError, UnreadKindError
from tfleet.worker.image.limits import ImageLimits

# Pillow's names of the formats that are read. HEIC needs the extra tfleet[heif].
READ: Final = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "AVIF")
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

# Formats that take more than a prefix to tell. "BM" alone begins many a text; the size of the header that
# follows at offset 14 is one of few.
_PATTERNS: Final = (
    (re.compile(rb"RIFF.{4}WEBP", re.DOTALL), "WEBP"),
    (re.compile(rb"BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0", re.DOTALL), "BMP"),
    (re.compile(rb"P[1-7][ \t\r\n#]"), "Netpbm"),
    (re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:<svg[\s>]|<(?:\?xml|!--|!DOCTYPE)[^\0]*<svg[\s>])", re.I), "SVG"),
    (re.compile(rb"\x00\x00\x02\x00[^\x00]\x00"), "CUR"),
    (re.compile(rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]"), "PCX"),
    (re.compile(rb"\x01\xda[\x00\x01][\x01\x02]\x00[\x01-\x03]"), "SGI"),
    (re.compile(rb".{4}[\x11\x12\x44]\xaf", re.DOTALL), "FLI or FLC"),
    # TGA has no mark at its front. What tells it: no id, a colour map or none, a kind that exists, no first
    # entry, an origin of nothing, and a depth of 8 to 32 bits.
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

# ISO base media files say what they are in the brands after `ftyp` (ISO/IEC 23008-12 for the HEIF family).
# The first that is a picture's counts; `mif1` and `msf1` say only that it is one of the family.
_BRANDS: Final = {
    b"avif": "AVIF",
    b"avis": "AVIF",
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), HEIC),
    b"crx ": "a camera's raw picture (CR3)",
}
_FAMILY: Final = frozenset({b"mif1", b"msf1"})

# What mail programs, forms and scripts glue in front of a file: line ends, blanks, a byte order mark.
_GLUED: Final = re.compile(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff|[\r\n\t ]){1,16}")
# Where a picture might begin in what is none: signatures that are long enough not to be there by chance.
_INSIDE: Final = re.compile(
    rb"\xff\xd8\xff[\xc0-\xfe]|\x89PNG\r\n\x1a\n|GIF8[79]a|RIFF.{4}WEBPVP8", re.DOTALL
)
_SEARCHED: Final = 64 * 1024


def sniff(data: bytes) -> str | None:
    """The format's name, one of `READ`, `HEIC` or what is not read; None where it is no picture."""
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


def glued_bytes(data: bytes) -> int:
    """How many bytes of line ends, blanks or a byte order mark stand before a picture; 0 if it is none."""
    glued = _GLUED.match(data)
    return glued.end() if glued is not None and sniff(data[glued.end() : glued.end() + _HEAD]) in READ else 0


def picture_inside(data: bytes) -> tuple[str, int] | None:
    """A picture's format and the byte that it begins at, where it begins later than a file of it would."""
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
    """What the header of a picture says; its size is within the limits.

    Raises `NoImageError`, `UnsupportedFormatError`, `BrokenImageError` or `TooManyPixelsError`.
    """
    if not data:
        raise NoImageError("the image is empty: send the bytes of a picture")
    format_name = sniff(data)
    if format_name is None and (glued := glued_bytes(data)):
        data = data[glued:]
        format_name = sniff(data)
    if format_name is None:
        raise NoImageError(_no_image(data))
    if format_name not in _READERS:
        raise UnsupportedFormatError(_not_read(format_name))
    if format_name == HEIC and not reads_heic():
        raise UnsupportedFormatError(
            "HEIC is not read by this worker: install its extra, tfleet[heif], or convert the picture to one "
            f"of {', '.join(READ)}"
        )
    try:
        header = _READERS[format_name](data)
    except UnreadKindError as error:
        raise UnsupportedFormatError(_not_read(str(error))) from error
    except BoundError as error:
        raise BrokenImageError(f"the {format_name} image has {error}: save it anew, without that") from error
    except (HeaderError, struct.error, IndexError) as error:
        reason = str(error) if isinstance(error, HeaderError) else "its header is cut off"
        raise damaged(format_name, reason) from error
    limits.check(header.width, header.height)
    if not header.complete:
        raise damaged(format_name, "pixels are missing at its end")
    return header


def damaged(format_name: str, reason: str) -> BrokenImageError:
    """The error for a picture of a format that is read; `reason` is a few words."""
    return BrokenImageError(
        f"the {format_name} image is damaged or cut off ({reason}): send the whole, intact file"
    )


@cache
def reads_heic() -> bool:
    """Whether pillow-heif is installed. It is not imported here: only decoder processes do that."""
    return importlib.util.find_spec(_HEIF_LIBRARY) is not None


def _not_read(what: str) -> str:
    return f"{what} is not read: convert the picture to one of {', '.join(READ)}"


def _no_image(data: bytes) -> str:
    if inside := picture_inside(data):
        format_name, start = inside
        return (
            f"these bytes are not an image, but a {format_name} begins at byte {start}: send it from there on"
        )
    return f"these bytes are not an image: send one of {', '.join(READ)}"
