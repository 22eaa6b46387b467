from __future__ import annotations

import gzip
import zipfile
from pathlib import Path

import fsspec  # type: ignore[import-untyped] # it has no types
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq
import pytest

from tests.support.canned_server import canned
from tfleet.bulk.errors import CannotScoreError
from tfleet.bulk.image_content import ImageReader, unreadable
from tfleet.bulk.sources.arrow_file import ArrowSource
from tfleet.bulk.sources.csv_file import CsvSource
from tfleet.bulk.sources.files import expand
from tfleet.bulk.sources.image_files import ImageFilesSource
from tfleet.bulk.sources.parquet import ParquetSource
from tfleet.bulk.sources.source import InputPlace, PieceLimits, RowSource

LIMITS = PieceLimits(1000, 1_000_000)


def rows(source: RowSource) -> list[dict[str, object]]:
    pieces = source.pieces(InputPlace(), source.columns)
    return [row for piece in pieces for row in piece.batch.to_pylist()]


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """A zip file with a folder of rows in each form; its end of a chained URL."""
    table = pa.table({"x": ["1", "2"]})
    pq.write_table(table, tmp_path / "c.parquet")
    with pa.OSFile(str(tmp_path / "d.arrow"), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table)
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as whole:
        whole.writestr("rows/a.csv", "x\n1\n2\n")
        whole.writestr("rows/b.csv", "x\n3\n")
        whole.writestr("rows/_SUCCESS", "")
        whole.write(tmp_path / "c.parquet", "rows/c.parquet")
        whole.write(tmp_path / "d.arrow", "rows/d.arrow")
    return f"::file://{tmp_path}/all.zip"


def test_files_in_an_archive_are_read(archive: str) -> None:
    files = expand([f"zip://rows{archive}"])
    assert [(file.path, file.listed) for file in files] == [
        (f"zip://rows/{name}{archive}", True) for name in ("a.csv", "b.csv", "c.parquet", "d.arrow")
    ]
    assert [file.format(None) for file in files] == ["csv", "csv", "parquet", "arrow"]
    csv, _, parquet, arrow = files
    expected = [{"x": "1"}, {"x": "2"}]
    assert rows(CsvSource(csv, 0, LIMITS, {})) == expected
    assert rows(ParquetSource(parquet, 0, LIMITS)) == expected
    assert rows(ArrowSource(arrow, 0, LIMITS)) == expected
    assert csv.digest().bytes == 6


def test_a_pattern_may_be_a_url(archive: str, tmp_path: Path) -> None:
    assert [file.path for file in expand([f"zip://rows/*.csv{archive}"])] == [
        f"zip://rows/{name}.csv{archive}" for name in "ab"
    ]
    (found,) = expand([f"file://{tmp_path}/*.parquet"])
    assert found.path == f"file://{tmp_path}/c.parquet"
    assert rows(ParquetSource(found, 0, LIMITS)) == [{"x": "1"}, {"x": "2"}]


def test_a_compressed_file_of_a_storage_goes_on_at_a_byte() -> None:
    with fsspec.open("memory://bulk/rows.csv.gz", "wb", compression="gzip") as file:
        file.write(b"x\n1\n2\n3\n")
    (found,) = expand(["memory://bulk/rows.csv.gz"])
    source = CsvSource(found, 0, LIMITS, {})
    place = InputPlace(0, 1, 4)
    assert [piece.batch.to_pylist() for piece in source.pieces(place, ["x"])] == [[{"x": "2"}, {"x": "3"}]]


@pytest.mark.parametrize("length", ["Content-Length: {}", "X-None: {}"])
@pytest.mark.parametrize("ending", ["csv", "csv.gz"])
def test_a_web_server_needs_no_ranges_and_no_sizes(ending: str, length: str) -> None:
    whole = b"x,y\n1,2\n"
    content = gzip.compress(whole) if ending == "csv.gz" else whole
    head = f"HTTP/1.1 200 OK\r\n{length.format(len(content))}\r\nConnection: close\r\n\r\n"
    with canned(head.encode() + content) as address:
        (found,) = expand([f"http://{address}/rows.{ending}"])
        source = CsvSource(found, 0, LIMITS, {})
        assert rows(source) == [{"x": "1", "y": "2"}]
        assert source.digest().bytes == len(content)


def test_an_image_that_comes_in_pieces_is_read_whole() -> None:
    image = b"i" * 3_000_000
    with canned(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + image) as address:
        files = expand([f"http://{address}/a.jpg"])
        assert ImageReader.of(files).content(files[0].path) == image


@pytest.mark.parametrize(
    ("url", "error"),
    [
        ("http://127.0.0.1:1/a.csv", "http://127.0.0.1:1/a.csv: cannot be read: Cannot connect to host"),
        ("memory://none", "memory://none: there is no such file, and none that it matches"),
        ("nothing://a", "nothing://a: cannot be opened: Protocol not known: nothing"),
        ("hdfs://h/rows.csv", "hdfs://h/rows.csv: "),
        ("zip://a.csv::file:///none.zip", "zip://a.csv::file:///none.zip: cannot be opened: "),
        ("ftp://me:secret@host/a.csv", "ftp://host/a.csv: has a password"),
    ],
)
def test_what_cannot_be_opened_is_a_line(url: str, error: str) -> None:
    with pytest.raises(CannotScoreError) as raised:
        expand([url])
    assert str(raised.value).startswith(error)
    assert "\n" not in str(raised.value)
    assert "secret" not in str(raised.value)


def test_rows_send_this_machine_to_no_other_host(archive: str) -> None:
    fsspec.filesystem("memory").pipe("/photos/a.jpg", b"jpeg")
    reader = ImageReader.of(expand(["memory://photos/a.jpg"]))
    assert reader.content("memory://photos/a.jpg") == b"jpeg"
    for url in ("http://127.0.0.1/a.jpg", f"zip://rows/a.csv{archive}"):
        with pytest.raises(OSError, match="URLs of others are not fetched"):
            reader.content(url)
    with pytest.raises(OSError, match="URLs of others are not fetched"):
        ImageReader().content("memory://photos/a.jpg")


def test_all_images_that_are_not_there_have_one_reason() -> None:
    fsspec.filesystem("memory").pipe("/photos/a.jpg", b"jpeg")
    reader = ImageReader.of(expand(["memory://photos/a.jpg"]))
    with pytest.raises(FileNotFoundError) as raised:
        reader.content("memory://photos/none.jpg")
    assert unreadable(raised.value) == "the image cannot be read: there is no such file"


def test_changed_images_of_a_storage_change_the_digest() -> None:
    memory = fsspec.filesystem("memory")
    digests = []
    for content in (b"1", b"22"):
        memory.pipe("/pictures/a.jpg", content)
        source = ImageFilesSource(expand(["memory://pictures"]), 0, LIMITS)
        assert rows(source) == [{"path": "memory:///pictures/a.jpg"}]
        digests.append(source.digest())
    assert [each.bytes for each in digests] == [1, 2]
    assert digests[0].sha256 != digests[1].sha256
