import os
import threading
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tfleet.contract.ticket import TicketKeys
from tfleet.contract.ticket_keys import BadKeyFileError, KeyFile, read_keys

OLD, NEW = "o" * 64, "n" * 64


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "tickets.key"
    path.touch(mode=0o600)
    return path


def write(path: Path, *lines: str) -> Path:
    """As if a while ago."""
    path.write_text("\n".join([*lines, ""]))
    age(path, 60)
    return path


def age(path: Path, seconds: float) -> None:
    modified_s = path.stat().st_mtime - seconds
    os.utime(path, (modified_s, modified_s))


def keys(*lines: str) -> TicketKeys:
    return TicketKeys(tuple(line.encode() for line in lines))


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (f"{NEW}\n", keys(NEW)),
        (NEW, keys(NEW)),
        (f"{NEW}\n{OLD}\n", keys(NEW, OLD)),
        (f"\n  {NEW} \r\n\r\n{OLD}", keys(NEW, OLD)),
        ("x" * 32, keys("x" * 32)),
    ],
)
def test_one_or_two_lines_are_the_keys(path: Path, text: str, read: TicketKeys) -> None:
    path.write_text(text)
    assert read_keys(path) == read


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "expected one or two keys, one on each line, but found none"),
        (b"\n\n", "expected one or two keys, one on each line, but found none"),
        (f"{NEW}\n{OLD}\n{NEW}".encode(), "expected one or two keys, one on each line, but found 3"),
        (b"x" * 31, "each key needs at least 32 characters"),
        (f"{NEW}\nshort\n".encode(), "each key needs at least 32 characters"),
        (bytes(range(256)), "expected one or two lines of ASCII text"),
        (b"x" * 5000, "expected one or two lines of ASCII text"),
    ],
)
def test_a_file_without_keys_is_reported_with_a_remedy(path: Path, content: bytes, said: str) -> None:
    path.write_bytes(content)
    with pytest.raises(BadKeyFileError) as raised:
        read_keys(path)
    line = str(raised.value)
    assert line.startswith(f"--ticket-key-file {path}: {said}")
    assert line.endswith(f"make one with `openssl rand -hex 32 > {path}`")
    assert "\n" not in line


@pytest.mark.parametrize(("name", "said"), [("nowhere", "no such file"), ("", "is a directory")])
def test_a_path_without_a_file_is_reported(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(BadKeyFileError, match=said):
        KeyFile(tmp_path / name)


def test_a_changed_file_is_read_again(path: Path) -> None:
    file = KeyFile(write(path, OLD))
    assert file.current() == keys(OLD)
    write(path, NEW, OLD)
    assert file.keys == keys(OLD), "nobody looked"
    with capture_logs() as logs:
        assert file.current() == file.keys == keys(NEW, OLD)
        file.current()
    assert [(line["event"], line["keys"]) for line in logs] == [("ticket keys changed", 2)]
    assert NEW not in str(logs)


def test_a_replaced_file_of_the_same_size_is_read_again(path: Path) -> None:
    file = KeyFile(write(path, OLD))
    other = write(path.with_name("other"), NEW)
    os.utime(other, ns=(0, path.stat().st_mtime_ns))
    other.rename(path)
    assert file.current() == keys(NEW)


def test_a_file_behind_a_changed_link_is_read_again(tmp_path: Path) -> None:
    first, second = write(tmp_path / "1", OLD), write(tmp_path / "2", NEW)
    link = tmp_path / "tickets.key"
    link.symlink_to(first)
    file = KeyFile(link)
    (tmp_path / "new").symlink_to(second)
    (tmp_path / "new").rename(link)
    assert file.current() == keys(NEW)


def test_a_file_just_written_is_read_a_second_later(path: Path) -> None:
    write(path, OLD)
    found = []
    for later_s in (0.0, 0.9, 1.0):
        age(path, 60)
        file = KeyFile(path, clock=lambda: path.stat().st_mtime + later_s)  # noqa: B023 - used in this turn
        path.write_text(NEW)
        found.append(file.current())
        path.write_text(OLD)
    assert found == [keys(OLD), keys(OLD), keys(NEW)]


def test_a_file_dated_in_the_future_is_read(path: Path) -> None:
    file = KeyFile(write(path, OLD))
    write(path, NEW)
    age(path, -100_000)
    assert file.current() == keys(NEW)


def test_an_unreadable_file_keeps_the_keys_and_logs_once(path: Path) -> None:
    file = KeyFile(write(path, OLD))
    with capture_logs() as logs:
        write(path, "short")
        assert [file.current() for _ in range(3)] == [keys(OLD)] * 3
        path.unlink()
        assert [file.current() for _ in range(3)] == [keys(OLD)] * 3
    assert [line["event"] for line in logs] == ["the ticket keys are unchanged"] * 2
    assert "at least 32 characters" in logs[0]["error"]
    assert "no such file" in logs[1]["error"]
    write(path, NEW)
    assert file.current() == keys(NEW)


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=(NEW,))
    writer.start()
    file = KeyFile(pipe)
    writer.join()
    age(pipe, 60)
    assert [file.current(), file.current()] == [keys(NEW)] * 2


@pytest.mark.parametrize(("mode", "told"), [(0o600, False), (0o640, False), (0o644, True), (0o444, True)])
def test_keys_that_everybody_can_read_are_used_with_a_warning(path: Path, mode: int, told: bool) -> None:
    write(path, NEW).chmod(mode)
    with capture_logs() as logs:
        assert KeyFile(path).keys == keys(NEW)
    warning = ("every user of this machine can access the keys in this file", f"chmod o= {path}")
    assert [(line["event"], line["do"]) for line in logs] == [warning] * told
