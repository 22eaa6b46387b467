"""apache/arrow#39808: a file that is larger than the memory must not end the run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.bulk.conftest import COLUMNS, IRIS, score_argv
from tests.support.environment import users_environment
from tfleet.bulk.memory import parse_size

pytestmark = [pytest.mark.process, pytest.mark.timeout(300)]

MOST_MEMORY = 1_000_000_000
NOTE_BYTES = 250_000
GROUP_ROWS = 2000
ROWS = 10 * GROUP_ROWS
WATCH = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[1:])
print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, file=sys.stderr)
sys.exit(done.returncode)
"""


def write(path: Path) -> None:
    """Rows with a note each: five times the memory, in row groups of half of it or more."""
    schema = pa.schema([*((name, pa.float32()) for name in COLUMNS), ("note", pa.binary())])
    # The notes are alike, so that the file is small; a dictionary would hide how large its values are.
    with pq.ParquetWriter(
        path, schema, use_dictionary=False, compression="zstd", write_batch_size=16
    ) as writer:
        sizes = [pa.array(np.full(GROUP_ROWS, 5, np.float32))] * len(COLUMNS)
        notes = pa.array([b"x" * NOTE_BYTES] * GROUP_ROWS, pa.binary())
        rows = pa.Table.from_arrays([*sizes, notes], schema=schema)
        for _ in range(ROWS // GROUP_ROWS):
            writer.write_table(rows, row_group_size=GROUP_ROWS)


def score(folder: Path, memory: str) -> subprocess.CompletedProcess[str]:
    # By a small process: what the system says of a child includes the memory of the one that forked it.
    argv = [sys.executable, "-c", WATCH]
    argv += score_argv("rows.parquet", "-o", "out", "--model", IRIS, "--memory", memory)
    return subprocess.run(
        argv, cwd=folder, capture_output=True, text=True, check=False, timeout=240, env=users_environment()
    )


def test_a_file_larger_than_the_memory_is_scored_within_it(tmp_path: Path) -> None:
    write(tmp_path / "rows.parquet")
    refused = score(tmp_path, "64MB")
    named = re.search(r"give --memory (\w+) or more", refused.stderr)
    assert refused.returncode == 2, refused.stderr
    assert named is not None, refused.stderr
    memory = parse_size(named[1])
    assert memory <= MOST_MEMORY
    assert 5 * memory <= ROWS * NOTE_BYTES
    done = score(tmp_path, named[1])
    assert done.returncode == 0, done.stderr
    assert int(done.stderr) * 1024 < memory
    parts = sorted((tmp_path / "out").glob("part-*.parquet"))
    assert len(parts) > 50
    assert sum(pq.read_metadata(path).num_rows for path in parts) == ROWS
