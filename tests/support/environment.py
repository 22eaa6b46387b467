"""The environment of programs that a test starts."""

import os
import tempfile
import uuid
from pathlib import Path


def users_environment() -> dict[str, str]:
    """That of a user: no options from outside, and at full speed, without the measuring of coverage.

    This user has saved nothing: a registry on the same port may have had plans in an earlier test.
    """
    ours = ("TFLEET_", "CONSUL_", "COVERAGE_")
    own = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    # Benchmarks have none: nothing makes this folder unless somebody writes a plan.
    state = Path(own.get("XDG_STATE_HOME", tempfile.gettempdir())) / f"tfleet-{uuid.uuid4().hex}"
    return own | {"XDG_STATE_HOME": str(state)}
