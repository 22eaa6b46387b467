"""LevelDB's tables, as TensorFlow writes them and damaged."""

import random
from pathlib import Path

import pytest

from tfleet.worker.model.table_file import MAGIC, DamagedTableError, read_entries


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The index of 3,000 variables, which takes several blocks."""
    from tfleet.worker.model.tensorflow import tf  # noqa: PLC0415 - the other tests do without TensorFlow

    prefix = str(tmp_path_factory.mktemp("checkpoint") / "c")
    names = [f"layer{number:05d}/kernel/a_long_name_to_fill_blocks" for number in range(3000)]
    tf.raw_ops.SaveV2(
        prefix=prefix, tensor_names=names, shape_and_slices=[""] * 3000, tensors=[tf.constant(1.0)] * 3000
    )
    return Path(f"{prefix}.index").read_bytes()


def _table(block: bytes, compression: bytes) -> bytes:
    """A table of one block, whose index is not compressed."""
    data = block + compression + bytes(4)
    handle = bytes([0, len(block)])
    index = b"\x00\x01" + bytes([len(handle)]) + b"z" + handle + b"\x00\x00\x00\x00\x01\x00\x00\x00"
    footer = b"\x00\x00" + bytes([len(data), len(index)])
    return data + index + b"\x00" + bytes(4) + footer.ljust(40, b"\x00") + MAGIC


ENTRIES = b"\x00\x01\x04aAAAA" + b"\x01\x01\x04bAAAA" + b"\x00\x00\x00\x00\x01\x00\x00\x00"


@pytest.mark.process
def test_every_variable_is_read(table: bytes) -> None:
    keys = [key for key, _ in read_entries(table)]
    assert len(keys) == 3001
    assert keys[:2] == [b"", b"layer00000/kernel/a_long_name_to_fill_blocks"]
    assert keys == sorted(set(keys))


def test_a_key_continues_the_key_before() -> None:
    assert list(read_entries(_table(ENTRIES, b"\x00"))) == [(b"a", b"AAAA"), (b"ab", b"AAAA")]


@pytest.mark.parametrize(
    "copies",
    [
        b"\x10\x00\x01\x04aA" + b"\x02\x01\x00" * 3,  # one byte at a time, offsets in two bytes
        b"\x10\x00\x01\x04aA" + b"\x0a\x01\x00",  # three bytes from one, offset in two bytes
        b"\x10\x00\x01\x04aA" + b"\x0b\x01\x00\x00\x00",  # the same, offset in four bytes
        b"\xf0\x04\x00\x01\x04aA" + b"\x0a\x01\x00",  # the literal's length in a byte of its own
        b"\x0c\x00\x01\x04a" + b"\x00A" + b"\x0a\x01\x00",
        b"\x0c\x00\x01\x04A" + b"\x01\x01" + b"",  # a copy whose offset has 11 bits
    ],
)
def test_a_block_may_be_compressed(copies: bytes) -> None:
    rest = ENTRIES[8:]
    data = bytes([len(ENTRIES)]) + copies + bytes([(len(rest) - 1) << 2]) + rest
    read = list(read_entries(_table(data, b"\x01")))
    assert read[-1][1] == b"AAAA"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        MAGIC,
        bytes(48),
        _table(ENTRIES, b"\x02"),
        _table(b"\x18\x05\x01", b"\x01"),
        _table(b"\x7f\x00a", b"\x01"),
    ],
)
def test_what_is_no_table_is_refused(data: bytes) -> None:
    with pytest.raises(DamagedTableError):
        list(read_entries(data))


@pytest.mark.process
def test_damaged_tables_end_in_one_kind_of_error(table: bytes) -> None:
    rng = random.Random(5)
    for _ in range(300):
        damaged = bytearray(table[-4000:] if rng.random() < 0.5 else _table(ENTRIES, b"\x00"))
        for _ in range(3):
            damaged[rng.randrange(len(damaged) - len(MAGIC))] = rng.randrange(256)
        try:
            list(read_entries(bytes(damaged)))
        except DamagedTableError:
            continue
