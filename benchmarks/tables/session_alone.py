"""The session without a server: `MODEL ROWS SECONDS`. Two threads run the same batch again and again.

Prints the milliseconds of CPU for a batch, and the rows a second, as JSON.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

from benchmarks.tables.model import rows
from tfleet.worker.inference.model_session import ModelSession
from tfleet.worker.model import find_model

_THREADS = 2


def main(model: Path, count: int, seconds: float) -> None:
    """Run and print."""
    session, batch = ModelSession.load(find_model(model)), rows(count)
    session.run("serving_default", batch)  # TensorFlow plans at the first run
    runs = [0] * _THREADS
    began_s, used_s = time.monotonic(), time.process_time()

    def work(number: int) -> None:
        while time.monotonic() < began_s + seconds:
            session.run("serving_default", batch)
            runs[number] += 1

    threads = [threading.Thread(target=work, args=(number,)) for number in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    wall_s, cpu_s = time.monotonic() - began_s, time.process_time() - used_s
    print(json.dumps([cpu_s * 1000 / sum(runs), sum(runs) * count / wall_s]))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]))
