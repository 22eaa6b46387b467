"""When a conversion is used again, when it is made anew, and which ones are removed."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import structlog
from structlog.testing import LogCapture

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.keras.cache import MAX_AGE_S, MAX_BYTES, CacheEntry, cached, converted, superfluous

pytestmark = pytest.mark.timeout(600)  # Keras takes seconds of CPU to import

NOW_S = 10 * MAX_AGE_S
HOUR_S = 3600.0


@pytest.mark.parametrize(
    ("entries", "removed"),
    [
        ([("a", 1, 2 * HOUR_S)], []),
        ([("a", 1, MAX_AGE_S + 1), ("b", 1, HOUR_S)], ["a"]),
        ([("a", MAX_BYTES, 2 * HOUR_S), ("b", 1, 3 * HOUR_S)], ["b"]),
        ([("a", MAX_BYTES, 3 * HOUR_S), ("b", 1, 2 * HOUR_S)], ["a"]),
        ([("a", MAX_BYTES, 60.0), ("b", MAX_BYTES, 50.0)], []),
        ([("new", MAX_BYTES + 1, 0.0), ("b", 1, 2 * HOUR_S), ("c", 1, 3 * HOUR_S)], ["b", "c"]),
        ([("a", MAX_BYTES, 2 * HOUR_S), ("b", 1, 3 * HOUR_S), ("c", 0, 4 * HOUR_S)], ["b"]),
    ],
    ids=["few", "old", "beyond", "largest", "in-use", "new-fills-it", "small-one-fits"],
)
def test_old_and_superfluous_entries_go(entries: list[tuple[str, int, float]], removed: list[str]) -> None:
    found = [CacheEntry(Path(name), size, NOW_S - age_s) for name, size, age_s in entries]
    assert [entry.path.name for entry in superfluous(found, NOW_S)] == removed


class Log:
    """A log that keeps its events."""

    def __init__(self) -> None:
        self.capture = LogCapture()
        self.log: Any = structlog.wrap_logger(None, processors=[self.capture])

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.capture.entries if entry["event"] != "converting"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The cache's folder, for all tests of this module."""
    base = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(base))
        yield base / "tfleet" / "keras"


@pytest.fixture(scope="module")
def first(
    keras_models: Path, folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Path, Log]:
    """A model's file, the folder it was converted to by two threads at once, and their log."""
    path = tmp_path_factory.mktemp("models") / "my model.keras"
    shutil.copy(keras_models / "table.keras", path)
    log = Log()
    with ThreadPoolExecutor(2) as threads:
        one, other = threads.map(lambda _: converted(path, trust=False, log=log.log), range(2))
    assert one == other
    return path, one, log


@pytest.mark.process
def test_of_two_at_once_one_converts(first: tuple[Path, Path, Log], folder: Path) -> None:
    _, entry, log = first
    assert log.events().count("converting keras model") == 1
    assert log.events().count("keras model converted") == 1
    assert entry.parent == folder
    assert entry.name.startswith("my_model-")
    assert [path.name for path in folder.iterdir() if path.is_dir()] == [entry.name]


@pytest.mark.process
def test_the_second_start_takes_it_from_the_cache(first: tuple[Path, Path, Log]) -> None:
    path, entry, _ = first
    log = Log()
    assert converted(path, trust=False, log=log.log) == cached(path) == entry
    assert log.events() == ["keras model taken from the cache"]


@pytest.mark.process
def test_a_damaged_entry_is_made_again(first: tuple[Path, Path, Log]) -> None:
    path, entry, _ = first
    (entry / "variables" / "variables.index").write_bytes(b"short")
    assert cached(path) is None
    log = Log()
    assert converted(path, trust=False, log=log.log) == cached(path) == entry
    assert "keras model converted" in log.events()


@pytest.mark.process
def test_another_file_of_this_name_has_another_entry(
    keras_models: Path, first: tuple[Path, Path, Log]
) -> None:
    path, entry, _ = first
    shutil.copy(keras_models / "columns.keras", path)
    assert cached(path) is None
    shutil.copy(keras_models / "table.keras", path)
    assert cached(path) == entry


@pytest.mark.process
def test_without_a_cache_it_is_converted_for_once(
    keras_models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/nowhere")
    log = Log()
    entry = converted(keras_models / "table.keras", trust=False, log=log.log)
    assert (entry / "saved_model.pb").exists()
    assert log.events()[0] == "cannot cache the conversion"
    assert cached(keras_models / "table.keras") is None


@pytest.mark.process
def test_code_is_refused_or_runs_with_a_warning(keras_models: Path, folder: Path) -> None:
    log = Log()
    with pytest.raises(ModelError, match="'double' is Python code inside the file"):
        converted(keras_models / "lambda.keras", trust=False, log=log.log)
    entry = converted(keras_models / "lambda.keras", trust=True, log=log.log)
    assert log.events()[0] == "running code from a model file: --trust"
    assert log.capture.entries[0]["log_level"] == "warning"
    assert folder not in entry.parents, "its code may be another one next time"
