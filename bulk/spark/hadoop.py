"""Hadoop's file systems, through which Spark reads and writes: `file:`, `hdfs:`, `s3a:` and others."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from tfleet.bulk.errors import CannotScoreError
from tfleet.worker.api.protocols.problems import names_text

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_PATTERN: Final = re.compile(r"([\[\]{}*?\\])")
_REPETITION: Final = re.compile(r"^(?:optional|required) ")
_FOOTERS_AT_ONCE: Final = 16
_INSTEAD: Final = (
    "score them by themselves, or read them with Spark and give the table to tfleet.bulk.spark.score"
)


class HadoopFiles:
    """The files that a session of Spark can reach."""

    def __init__(self, session: SparkSession) -> None:
        self._session = session

    def __repr__(self) -> str:
        return f"<HadoopFiles {self._session!r}>"

    def exists(self, name: str) -> bool:
        """Whether there is anything of this name, in which nothing is a pattern."""
        return bool(self._storage(name).exists(self._at(name)))

    def write(self, name: str, text: str) -> None:
        """Write a small file."""
        stream = self._storage(name).create(self._at(name), True)
        stream.write(text.encode())
        stream.close()

    def as_patterns(self, inputs: Iterable[str]) -> list[str]:
        """The inputs as Spark takes them: a path that is there stands for itself, whatever its name has.

        Raises CannotScoreError for what Spark would read otherwise than `tfleet score` does.
        """
        return [self._as_pattern(name) for name in inputs]

    def _as_pattern(self, name: str) -> str:
        hidden = PurePosixPath(name).name.startswith(("_", ".")) and PurePosixPath(name).name != ".."
        if (hidden or _PATTERN.search(name)) and self.exists(name):
            if hidden and self._storage(name).getFileStatus(self._at(name)).isFile():
                raise CannotScoreError(
                    f"{name}: Spark leaves out files whose names begin with _ or a dot: rename it"
                )
            return _PATTERN.sub(r"\\\1", name)
        if "**" in name:
            raise CannotScoreError(
                f"{name}: Spark's patterns have no **: name the folder, whose files and those below are read"
            )
        return name

    def check_alike(self, uris: Iterable[str]) -> None:
        """Raise CannotScoreError unless these Parquet files have the same columns, of the same types."""
        found = sorted(uris)
        if not found:
            return
        schemas: dict[str, Mapping[str, str]] = {}
        with ThreadPoolExecutor(_FOOTERS_AT_ONCE, "footers") as pool:
            first, *others = zip(found, pool.map(self._parquet_schema, found), strict=True)
        for uri, schema in (first, *others):
            text = str(schema)
            if text not in schemas:
                schemas[text] = _columns(schema)
                _check_columns(first[0], schemas[str(first[1])], uri, schemas[text])

    def _parquet_schema(self, uri: str) -> Any:
        jvm, conf = self._session._jvm, self._session._jsc.hadoopConfiguration()
        path = jvm.org.apache.hadoop.fs.Path(jvm.java.net.URI(uri))
        file = jvm.org.apache.parquet.hadoop.util.HadoopInputFile.fromPath(path, conf)
        reader = jvm.org.apache.parquet.hadoop.ParquetFileReader.open(file)
        try:
            return reader.getFooter().getFileMetaData().getSchema()
        finally:
            reader.close()

    def _at(self, name: str) -> Any:
        return self._session._jvm.org.apache.hadoop.fs.Path(name)

    def _storage(self, name: str) -> Any:
        return self._at(name).getFileSystem(self._session._jsc.hadoopConfiguration())


def _columns(schema: Any) -> Mapping[str, str]:
    """The types of the columns by their names. Whether one may be null makes no difference."""
    return {field.getName(): _REPETITION.sub("", field.toString()) for field in schema.getFields()}


def _check_columns(first: str, wanted: Mapping[str, str], other: str, columns: Mapping[str, str]) -> None:
    for one, its, two, others in ((other, columns, first, wanted), (first, wanted, other, columns)):
        if lacking := [name for name in others if name not in its]:
            raise CannotScoreError(
                f"{one} lacks the column {names_text(lacking)}, which {two} has: {_INSTEAD}"
            )
    if differing := [name for name in wanted if columns[name] != wanted[name]]:
        raise CannotScoreError(
            f"{other} has the column {names_text(differing)} of another type than {first}: {_INSTEAD}"
        )
