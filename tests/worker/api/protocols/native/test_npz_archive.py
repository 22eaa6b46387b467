import io
import zipfile

import numpy as np
import pytest

from tests.support.bodies import npy, npz
from tests.worker.api.protocols.signatures import NPZ, VECTOR, refused
from tfleet.worker.api.protocols.native import InputLimits
from tfleet.worker.api.protocols.native.npz_archive import read_members

ARRAY = npy(np.zeros((1, 3), np.float32))
LIMITS = InputLimits()


def archive(
    method: int = zipfile.ZIP_DEFLATED, names: tuple[str, ...] = ("G.npy",), content: bytes = ARRAY
) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", method) as opened:
        for name in names:
            opened.writestr(name, content)
    return sink.getvalue()


def test_members_are_named_and_whole() -> None:
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        assert [(name, bytes(content)) for name, content in read_members(archive(method), 1, LIMITS)] == [
            ("G.npy", ARRAY)
        ]


def test_a_member_that_is_not_compressed_is_a_view() -> None:
    body = archive(zipfile.ZIP_STORED)
    ((_, content),) = read_members(body, 1, LIMITS)
    assert np.shares_memory(np.frombuffer(content, np.uint8), np.frombuffer(body, np.uint8))


def test_other_names_than_ascii_are_read() -> None:
    ((name, _),) = read_members(archive(names=("\u00e9.npy",)), 1, LIMITS)
    assert name == "\u00e9.npy"


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"PK\x03\x04", "it is cut off"),
        (archive()[:-1], "its directory is missing"),
        (archive() + b"x", "its directory is missing"),
        (archive(zipfile.ZIP_LZMA), "compressed in a way that is not read"),
        (archive(zipfile.ZIP_BZIP2), "compressed in a way that is not read"),
        (
            archive(zipfile.ZIP_STORED).replace(ARRAY, ARRAY[:-1] + b"x"),
            "the checksum of 'G.npy' does not match",
        ),
        (archive().replace(b"PK\x01\x02", b"PK\x01\x03"), "its directory is damaged"),
        (archive().replace(b"PK\x03\x04", b"PK\x03\x05"), "a member lies outside it"),
        (archive(names=("G.npy", "H.npy")).replace(b"H.npy", b"G.npy"), "the .npz file has 'G' twice"),
        (archive(names=tuple(f"{number}.npy" for number in range(1000))), "the .npz file has 1000 arrays"),
    ],
)
def test_a_bad_archive_is_refused(body: bytes, said: str) -> None:
    assert said in refused(body, NPZ, VECTOR)


def test_an_encrypted_member_is_refused() -> None:
    body = bytearray(archive())
    body[body.rindex(b"PK\x01\x02") + 8] |= 1
    assert "it is encrypted" in refused(bytes(body), NPZ, VECTOR)


@pytest.mark.process
def test_an_archive_that_inflates_too_far_is_refused() -> None:
    bomb = npz({"G": np.zeros((30_000_000, 3), np.float32)}, compressed=True)
    assert len(bomb) < 1_000_000
    assert "becomes more than the 268435456 bytes allowed" in refused(bomb, NPZ, VECTOR, status=413)


def test_more_bytes_than_declared_are_refused() -> None:
    body = archive(content=npy(np.zeros((10_000, 3), np.float32)))
    size = (10_000 * 12 + 128).to_bytes(4, "little")
    said = refused(body.replace(size, b"\x80\0\0\0"), NPZ, VECTOR)
    assert "does not have the size that is declared" in said
