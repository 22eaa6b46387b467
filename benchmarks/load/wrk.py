"""The load of wrk, which takes little CPU time from the server that it shares the machine with."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.load.form import Form
from benchmarks.report.figures import Figures, rate

_FOLDER = Path(__file__).parent
_PATIENCE_S = 30


def found() -> str | None:
    """The name and version of wrk; None if it is not installed."""
    if shutil.which("wrk") is None:
        return None
    said = subprocess.run(["wrk", "-v"], capture_output=True, text=True, check=False).stdout
    return " ".join(said.split()[:2]) or "wrk"


def load(url: str, form: Form, connections: int, seconds: float) -> Figures:
    """Post the form for a whole number of seconds."""
    with tempfile.NamedTemporaryFile(prefix="tfleet-bench-") as body:
        body.write(form.body)
        body.flush()
        return _run(url, "post.lua", body.name, form, connections, seconds)


def load_many(url: str, forms: Sequence[Form], connections: int, seconds: float) -> Figures:
    """Post the forms in turn for a whole number of seconds. All have the headers of the first one."""
    with tempfile.TemporaryDirectory(prefix="tfleet-bench-") as folder:
        bodies = [Path(folder, str(number)) for number in range(len(forms))]
        for body, form in zip(bodies, forms, strict=True):
            body.write_bytes(form.body)
        names = Path(folder, "names")
        names.write_text("".join(f"{body}\n" for body in bodies))
        return _run(url, "post_many.lua", str(names), forms[0], connections, seconds)


def _run(url: str, script: str, file: str, form: Form, connections: int, seconds: float) -> Figures:
    command = [
        *("wrk", "--threads", "1", "--connections", str(connections)),
        *("--duration", f"{seconds:.0f}s", "--timeout", f"{_PATIENCE_S}s", "--script", str(_FOLDER / script)),
        *(url, "--", file, *(part for header in form.headers.items() for part in header)),
    ]
    return read(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def read(output: str) -> Figures:
    """What wrk and our script printed. Raises ValueError where the script's line is missing."""
    lines = [line for line in output.splitlines() if line.startswith("{")]
    if not lines:
        raise ValueError(f"wrk said nothing of its answers: {output[-500:]}")
    said = json.loads(lines[-1])
    return Figures(
        per_second=rate(said["began_s"], said["answered_s"]),
        p50_ms=said["p50_us"] / 1000,
        p99_ms=said["p99_us"] / 1000,
        answered=len(said["answered_s"]),
        failed=said["failed"],
    )
