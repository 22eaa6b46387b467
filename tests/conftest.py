"""What holds for every test: nothing blocks an event loop, and nothing is left behind."""

import gc
import os
import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
import structlog
from blockbuster import BlockBuster, blockbuster_ctx

from tests.support.scheduling import SideBySide

_SETTLE_S = 5.0
_FILE_MARKS = re.compile(r"^pytestmark = .*(?:\n[ \])].*)*", re.MULTILINE)

# A shell has what it starts in the background ignore Ctrl-C, and so would all that the tests start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# A machine that is busy with something else is no counterexample. In CI each run tries the same examples, so
# that a change is judged by what it changes; everywhere else the search goes on.
hypothesis.settings.register_profile("tfleet", deadline=None, derandomize=os.environ.get("CI") == "true")
hypothesis.settings.load_profile("tfleet")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """With `-m 'not process and ...'`, files and folders with nothing but such tests are not even imported,
    and with `-m 'fleet or clone'` only files with such tests: TensorFlow alone takes seconds.
    """
    expression = config.option.markexpr
    if re.fullmatch(r"\w+( or \w+)*", expression):
        wanted = expression.split(" or ")
        return None if collection_path.is_dir() or _may_have(collection_path, wanted) else True
    left_out = set() if " or " in expression else set(re.findall(r"\bnot (\w+)", expression))
    if collection_path.is_dir():
        marks = {collection_path.name} if collection_path.parent == Path(__file__).parent else set()
    else:
        marks = _file_marks(collection_path) if collection_path.suffix == ".py" else set()
    return True if marks & left_out else None


def _may_have(test_file: Path, marks: Iterable[str]) -> bool:
    """Whether the file names one of the marks, or lies in a folder whose tests all get it.

    `process` is also given by what a test takes as parameters, so any file may have it.
    """
    folders = test_file.relative_to(Path(__file__).parent).parts
    return any(mark == "process" or mark in folders or f"mark.{mark}" in _text(test_file) for mark in marks)


def _file_marks(test_file: Path) -> set[str]:
    """What a test file marks all of its tests with."""
    found = _FILE_MARKS.search(_text(test_file))
    return set(re.findall(r"\bpytest\.mark\.(\w+)", found[0])) if found else set()


def _text(test_file: Path) -> str:
    return test_file.read_text() if test_file.suffix == ".py" else ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test with a real Consul or Redis starts a process: `make quick` has the embedded registry alone."""
    for item in items:
        params = item.callspec.params.values() if hasattr(item, "callspec") else ()
        if {"consul", "redis"} & set(getattr(item, "fixturenames", ())) or any(
            isinstance(one, str) and one == "consul" for one in params
        ):
            item.add_marker(pytest.mark.process)


def pytest_collection() -> None:
    """What is collected is no garbage: to search millions of its objects again and again takes seconds."""
    gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> SideBySide | None:
    """For tests that start fleets; others are dealt out as xdist does it."""
    return SideBySide(config, log) if config.getoption("dist") == "loadgroup" else None


@pytest.fixture(scope="session", autouse=True)
def no_plan_is_saved_in_the_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An embedded registry that a test starts must not read the plans of this user, nor write any."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session", autouse=True)
def nothing_blocks_an_event_loop() -> Iterator[BlockBuster]:
    """A blocking call inside a coroutine of ours fails the test.

    For the whole session: to wrap some sixty functions anew for each of thousands of tests takes seconds.
    """
    with blockbuster_ctx("tfleet") as blockbuster:
        # What measures the coverage may wait for another thread that it measures; that is no code of ours.
        blockbuster.functions["threading.Lock.acquire"].can_block_in("coverage/collector.py", {"lock_data"})
        yield blockbuster


@pytest.fixture(autouse=True)
def the_log_stays_as_it_was() -> Iterator[None]:
    """A command that a test calls in this process configures the log: later tests must not have that."""
    before = structlog.get_config()
    yield
    structlog.configure(**before)


@pytest.fixture(autouse=True)
def nothing_is_left_behind() -> Iterator[None]:
    """Every thread and child process that a test starts has ended when it ends."""
    threads, children = set(threading.enumerate()), _children()
    yield
    deadline_s = time.monotonic() + _SETTLE_S
    while (left := _left(threads, children)) and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert not left, f"left behind: {left}"


def _left(threads: set[threading.Thread], children: set[int]) -> list[str]:
    running = [t.name for t in threading.enumerate() if t not in threads and not _is_pooled(t)]
    return running + [f"process {pid}" for pid in _children() - children]


def _is_pooled(thread: threading.Thread) -> bool:
    """Whether a pool keeps it for later, or it waits for a name server; those end with the process."""
    # check-names: nobody can end a look-up, and one of a name that does not exist may take many seconds.
    # fsspecIO: fsspec has one thread for all of a process's storages.
    return thread.name.startswith(("asyncio_", "ThreadPoolExecutor", "check-names", "fsspecIO"))


def _children() -> set[int]:
    """The processes that this one started and that have not been waited for."""
    found = set()
    for task in Path(f"/proc/{os.getpid()}/task").iterdir():
        try:
            found |= set(map(int, (task / "children").read_text().split()))
        except (FileNotFoundError, ProcessLookupError):
            continue  # the thread has just ended
    return found
