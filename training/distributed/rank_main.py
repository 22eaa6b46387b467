"""The program of each process of a run: `python -m tfleet.training.distributed.rank_main JOB`.

It joins the others, makes Keras work with them, and runs the user's script as `python SCRIPT` would. See
`rank_job.py` for what it is told, and what its exit codes mean.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import runpy
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final, NoReturn

from tfleet.training.distributed.rank_job import LOST_PEER, RankJob

# How JAX tells that a peer has gone: an error with a status, of types that it has for all else, too. Each
# computation that waits for another one puts its own words before those of that one.
_PEER: Final = re.compile(
    r"[A-Z_]+: (?:Error dispatching computation: )*"
    r"((?:Gloo |Barrier |.*(?:coordination service|heartbeat|connection refused)).*)",
    re.IGNORECASE,
)


def _main() -> None:
    job = RankJob.from_json(sys.argv[1])
    try:
        _run(job)
    except SystemExit as error:  # an error: a script that exits with 0 is through
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
        _end(error.code if isinstance(error.code, int) else 1)
    except BaseException as error:  # whatever the script raises ends the run
        if said := said_of_peer(error):
            print(f"lost another process: {said}", file=sys.stderr)
            _end(LOST_PEER)
        traceback.print_exception(type(error), error, _from_script(error, job.script))
        _end(1)


def _run(job: RankJob) -> None:
    # Both take seconds to import, and an error in that is one of this process, too.
    import keras  # noqa: PLC0415
    from keras.src.utils.module_utils import tensorflow  # noqa: PLC0415

    from tfleet.training.distributed import batches, peers, saves  # noqa: PLC0415

    others = peers.Peers(job)
    others.join()
    source = Path(job.script).read_bytes()
    said = json.dumps([hashlib.sha256(source).hexdigest(), job.argv[1:], job.seed, keras.__version__])
    others.agree("script", said, "run the same file with the same options everywhere, and the same Keras")
    # Keras would import it to give it a seed, which takes seconds and 300 MB.
    if b"tensorflow" not in source:
        tensorflow._available = False
    keras.utils.set_random_seed(job.seed)
    batches.WholeBatches(others).install()
    saves.install(job)
    # As Python does it for a script.
    sys.argv = [*job.argv]
    sys.path.insert(0, str(Path(job.script).resolve().parent))
    try:
        runpy.run_path(job.script, run_name="__main__")
    except SystemExit as error:
        if error.code not in {None, 0}:
            raise
    others.finish()


def said_of_peer(error: BaseException) -> str:
    """What JAX says of another process that has gone, in one line; empty if that is not the error's cause."""
    found = _PEER.match(str(error)) if isinstance(error, ValueError | RuntimeError) else None
    return found[1] if found else ""


def _from_script(error: BaseException, script: str) -> TracebackType | None:
    """The traceback as it would be without tfleet: from the script's own first line on."""
    at = error.__traceback__
    while at is not None and at.tb_frame.f_code.co_filename != script:
        at = at.tb_next
    return at or error.__traceback__


def _end(code: int) -> NoReturn:
    """End at once. The ordinary way waits for the others for minutes."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    _main()
