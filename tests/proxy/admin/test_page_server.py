from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest
from aiohttp import web

from tfleet.proxy.admin.page_server import NoSocketFolderError, page_server, private_folder


async def test_the_socket_is_private_and_goes_with_its_folder() -> None:
    async with page_server(web.Application()) as path:
        assert mode(path.parent) == 0o700
        assert is_socket(path)
    assert not exists(path.parent)


async def test_a_bad_request_is_no_error_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with page_server(web.Application()) as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"GET / HTTP/1.1\r\nno field\r\n\r\n")
        assert b" 400 " in await reader.readline()
        writer.close()
    assert caplog.records == []


def test_a_folder_whose_path_is_too_long_is_passed_over(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    found = private_folder([str(long), "/tmp"])
    assert found.parent == Path("/tmp")
    found.rmdir()
    assert list(long.iterdir()) == []


def test_where_there_is_none_the_error_says_what_to_set(tmp_path: Path) -> None:
    long = tmp_path / ("x" * 100)
    long.mkdir()
    with pytest.raises(NoSocketFolderError) as caught:
        private_folder([str(long), "/nowhere/at-all"])
    assert str(caught.value) == (
        f"no folder for a unix socket ({long}: its path is too long; /nowhere/at-all: no such file or "
        "directory): set TMPDIR to one that is short and writable"
    )


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def is_socket(path: Path) -> bool:
    return path.is_socket()


def exists(path: Path) -> bool:
    return path.exists()
