"""What is said of a fetch that takes long."""

import io
from pathlib import Path
from typing import Any

from tfleet.worker.model.remote_progress import local_model, log_progress, terminal_progress


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


class Log:
    def __init__(self) -> None:
        self.events: list[dict[str, Any]] = []

    def info(self, event: str, **values: Any) -> None:
        self.events.append({"event": event, **values})


def test_a_path_is_what_it_is() -> None:
    assert local_model(Path("x")) == Path("x")
    assert local_model(None) is None


def test_a_terminal_has_one_line_that_changes() -> None:
    out, clock = io.StringIO(), Clock()
    progress = terminal_progress(out, "http://h/m", clock)
    for clock.now, done in ((0.0, 0), (0.1, 1_000_000), (0.3, 2_500_000), (0.31, 5_000_000)):
        progress(done, 5_000_000)
    assert out.getvalue() == (
        "\rhttp://h/m: 0.0 of 5.0 MB\rhttp://h/m: 2.5 of 5.0 MB\rhttp://h/m: 5.0 of 5.0 MB\n"
    )


def test_a_storage_that_names_no_size_is_fine() -> None:
    out = io.StringIO()
    terminal_progress(out, "u", Clock())(1_000_000, None)
    assert out.getvalue() == "\ru: 1.0 MB"


def test_the_log_has_a_line_every_ten_seconds() -> None:
    log, clock = Log(), Clock()
    progress = log_progress(log, "u", clock)
    for clock.now, done in ((0.0, 1), (9.0, 2), (10.0, 3), (19.0, 4), (20.0, 5)):
        progress(done, 9)
    assert [event["bytes"] for event in log.events] == [1, 3, 5]
    assert log.events[0] == {"event": "fetching the model", "url": "u", "bytes": 1, "total_bytes": 9}
