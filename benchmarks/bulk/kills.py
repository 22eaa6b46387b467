"""Kill a run of `tfleet score` at random moments, and let it go on each time."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pyarrow.dataset as ds

from benchmarks.bulk.program import ROOT, program, score, score_argv
from tests.support.environment import users_environment

KILLS: Final = 10
PART_ROWS: Final = 30_000
_LOOK_S: Final = 0.005
_WITHIN_S: Final = 0.05  # the longest time between a part's end and the kill
_LEFT: Final = 3  # parts that a run has left at its kill, so that it is not done before
_PATIENCE_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Kill:
    """A run that was killed: the seconds since its start, and the parts that there were."""

    after_s: float
    parts: int


@dataclass(frozen=True, slots=True)
class KillFigures:
    """The kills of one form of file, and whether the output is that of a run that nobody killed."""

    form: str
    rows: int
    found_rows: int
    parts: int
    kills: list[Kill]
    files: int
    equal_files: int

    @property
    def same(self) -> bool:
        """Whether it has the same bytes, and so each row once."""
        return self.files == self.equal_files and self.rows == self.found_rows


def measure_kills(folder: Path, rows: int) -> list[KillFigures]:
    """Kill runs over CSV and over Parquet."""
    program("benchmarks.bulk.make", (folder, rows))
    return [_killed(folder, form, rows) for form in ("csv", "parquet")]


def _killed(folder: Path, form: str, rows: int) -> KillFigures:
    whole, out = folder / f"{form}-whole", folder / f"{form}-killed"
    run = (folder / f"rows.{form}", "--model", folder / "binary", "--part-rows", PART_ROWS)
    score(*run, "-o", whole)
    there = _parts(whole)
    chance = random.Random(16)
    # One kill in each share of the run, so that they are spread over all of it.
    moments = [chance.randrange(number * there, (number + 1) * there) // KILLS for number in range(KILLS)]
    kills = [_kill(chance, (*run, "-o", out), out, min(each, there - _LEFT)) for each in moments]
    score(*run, "-o", out, "--resume")
    wanted, found = _contents(whole), _contents(out)
    equal = sum(found.get(name) == content for name, content in wanted.items())
    files = len(wanted.keys() | found.keys())
    return KillFigures(form, rows, ds.dataset(out).count_rows(), there, kills, files, equal)


def _kill(chance: random.Random, run: tuple[object, ...], out: Path, moment: int) -> Kill:
    """Go on with the run, and kill it when it has written a part and so many are there, within the next."""
    wanted = max(_parts(out) + 1, moment)
    began_s = time.perf_counter()
    with subprocess.Popen(
        score_argv(*run, "--resume"),
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=users_environment(),
        start_new_session=True,
    ) as process:
        while _parts(out) < wanted:
            if process.poll() is not None or time.perf_counter() - began_s > _PATIENCE_S:
                process.kill()
                raise SystemExit(f"a run ended before its kill: {process.communicate()[1].decode()[-2000:]}")
            time.sleep(_LOOK_S)
        time.sleep(chance.uniform(0, _WITHIN_S))
        process.kill()
    if process.returncode != -signal.SIGKILL:
        raise SystemExit("a run was done before its kill: give it more rows")
    return Kill(time.perf_counter() - began_s, _parts(out))


def _parts(folder: Path) -> int:
    return len(list(folder.glob("part-*.parquet")))


def _contents(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}
