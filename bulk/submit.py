"""`tfleet score` under spark-submit, for a script of two lines: see docs/how-to/score-on-spark.md."""

from __future__ import annotations

import sys

from tfleet.bulk.command import score
from tfleet.bulk.spark.session import SUBMITTED
from tfleet.runtime.clean_exit import clean_exit


def main() -> None:
    """Run `tfleet score` with this process's arguments, on the master that spark-submit was given."""
    with clean_exit():
        score.main(args=["--spark", SUBMITTED, *sys.argv[1:]], prog_name="tfleet score")
