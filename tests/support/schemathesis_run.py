"""schemathesis, as pip installs it, asks a server many things that its document allows or forbids."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import numpy as np

from tests.support.client_environments import required_client
from tests.support.fake_model import Arrays, FakeModel, table_answer
from tfleet.worker.inference.errors import BadInputError

_REQUIREMENTS: Final = Path(__file__).parents[1] / "worker" / "api" / "schemathesis.txt"
_PROGRAM: Final = "from schemathesis.cli import schemathesis; schemathesis()"
_CHECKS: Final = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
)
_TESTED_S: Final = 300
_SENT: Final = re.compile(r"(\d+) generated, \1 passed")


def finite_model() -> FakeModel:
    """A model that answers finite numbers: schemathesis knows no NaN in JSON.

    As TensorFlow does, it rejects inputs whose shapes do not fit each other.
    """

    def finite(name: str, inputs: Arrays) -> Arrays:
        try:
            answered = table_answer(name, inputs)
        except ValueError as error:
            raise BadInputError(f"the model rejects the input: {error}") from error
        return {key: np.nan_to_num(value) for key, value in answered.items()}

    model = FakeModel()
    model.predictor.answer = finite
    return model


def driven(url: str, folder: Path, *, examples: int, without: str = "/drain", only: str = "") -> int:
    """How many requests it has sent, at most `examples` of each operation and phase, but none to one path.
    `only` is a regular expression for the paths.

    Fails unless all answers are as the document says, and none has a status of 500 or more.
    """
    done = subprocess.run(
        [
            *(required_client(_REQUIREMENTS), "-I", "-c", _PROGRAM, "run", f"{url}/openapi.json"),
            *("--exclude-path", without, "--max-examples", str(examples)),
            *(("--include-path-regex", only) if only else ()),
            *("--checks", ",".join(_CHECKS), "--phases", "examples,coverage,fuzzing"),
            # A millisecond is a deadline that a worker may miss: it answers 504 then.
            *("--header", "X-Request-Timeout-Ms: 60000", "--request-timeout", "60"),
            *("--seed", "1", "--generation-database", "none", "--no-color", "--warnings", "off"),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=_TESTED_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    sent = _SENT.search(done.stdout)
    assert sent is not None, done.stdout[-3000:]
    return int(sent[1])
