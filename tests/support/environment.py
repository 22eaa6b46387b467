"""The environment of programs that a test starts."""

import os


def users_environment() -> dict[str, str]:
    """That of a user: no options from outside, and at full speed, without the measuring of coverage."""
    ours = ("TFLEET_", "CONSUL_", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}
