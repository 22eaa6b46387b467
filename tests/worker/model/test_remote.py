"""Models from URLs: a real web server, and a folder as a storage."""

import contextlib
import functools
import http.server
import os
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.canned_server import nobody
from tests.support.worker_process import COMMAND, worker_process
from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.find import find_model
from tfleet.worker.model.model_path import ModelUrl
from tfleet.worker.model.remote import fetch_model
from tfleet.worker.model.remote_files import RemoteLimits


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder, counts what it sends, and cuts answers off where it is told to."""

    fetched: list[str]
    cut_after: int | None = None
    status: int | None = None

    def log_request(self, *args: Any) -> None:
        pass

    def log_error(self, *args: Any) -> None:
        pass

    def send_head(self) -> Any:
        if self.status is None:
            return super().send_head()
        self.send_error(self.status)
        return None

    def do_GET(self) -> None:
        self.fetched.append(self.path)
        if self.path != "/endless.pb":
            super().do_GET()
            return
        self.do_HEAD()
        with contextlib.suppress(OSError):  # until the client has had enough
            while True:
                self.wfile.write(bytes(100_000))

    def do_HEAD(self) -> None:
        if self.path != "/endless.pb":
            super().do_HEAD()
            return
        self.send_response(200)
        self.end_headers()

    def copyfile(self, source: Any, outputfile: Any) -> None:
        outputfile.write(source.read(self.cut_after))


class Web:
    """A folder behind a web server, and a cache for what comes from it."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        self.handler: type[Handler] = type("OneServersHandler", (Handler,), {"fetched": []})
        server = functools.partial(self.handler, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), server)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        self.warnings: list[str] = []
        self.progress: list[tuple[int, int | None]] = []

    def fetch(self, path: str, limits: RemoteLimits | None = None) -> Path:
        return fetch_model(
            ModelUrl(f"{self.url}/{path}"),
            self.cache,
            progress=lambda done, total: self.progress.append((done, total)),
            warn=self.warnings.append,
            limits=limits,
        )

    @property
    def fetched(self) -> list[str]:
        return self.handler.fetched


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Web]:
    (tmp_path / "served").mkdir()
    web = Web(tmp_path / "served", tmp_path / "cache")
    thread = threading.Thread(target=web.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield web
    finally:
        web.server.shutdown()
        thread.join()
        web.server.server_close()


def write_saved_model(folder: Path) -> Path:
    from tests.support import graphs  # noqa: PLC0415 - imports TensorFlow, which most tests here do without

    return graphs.write_saved_model(folder)


@pytest.mark.process
def test_a_file_is_fetched_once(web: Web) -> None:
    from tests.support.graphs import pixel_graph, write_graph  # noqa: PLC0415 - imports TensorFlow

    content = write_graph(web.folder / "flowers.pb", pixel_graph).read_bytes()
    first = web.fetch("flowers.pb")
    assert (first.name, first.read_bytes()) == ("flowers.pb", content)
    assert web.progress[-1] == (len(content), len(content))
    assert web.fetch("flowers.pb") == first
    assert web.fetched == ["/flowers.pb"]
    assert find_model(first).label == "flowers/0"


def test_a_changed_file_is_fetched_again(web: Web) -> None:
    (web.folder / "m.pb").write_bytes(b"old")
    os.utime(web.folder / "m.pb", (1, 1))
    old = web.fetch("m.pb")
    (web.folder / "m.pb").write_bytes(b"new")
    new = web.fetch("m.pb")
    assert (old.read_bytes(), new.read_bytes()) == (b"old", b"new")


@pytest.mark.process
def test_of_a_folder_the_highest_version_is_fetched(web: Web) -> None:
    for version in ("2", "10"):
        write_saved_model(web.folder / "colours" / version)
    place = web.fetch("colours/")
    assert find_model(place).label == "colours/10"
    assert "/colours/10/saved_model.pb" in web.fetched
    assert "/colours/2/saved_model.pb" not in web.fetched
    assert web.fetch("colours/") == place


@pytest.mark.process
def test_a_version_folder_keeps_name_and_version(web: Web) -> None:
    write_saved_model(web.folder / "colours" / "3")
    assert find_model(web.fetch("colours/3/")).label == "colours/3"


def test_a_file_that_is_cut_off_leaves_nothing(web: Web) -> None:
    (web.folder / "m.pb").write_bytes(bytes(10_000))
    web.handler.cut_after = 4_000
    with pytest.raises(ModelError, match=f"{web.url}/m.pb: can't be fetched: "):
        web.fetch("m.pb")
    assert [path for path in web.cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []
    web.handler.cut_after = None
    assert web.fetch("m.pb").stat().st_size == 10_000


def test_the_limits_hold(web: Web) -> None:
    (web.folder / "m.pb").write_bytes(bytes(10_000))
    with pytest.raises(ModelError, match="has 10000 bytes, more than 9000"):
        web.fetch("m.pb", RemoteLimits(bytes=9_000))
    assert web.fetched == []


def test_a_file_without_an_end_is_given_up(web: Web) -> None:
    with pytest.raises(ModelError, match=r"endless\.pb: is longer than 30000000 bytes"):
        web.fetch("endless.pb", RemoteLimits(bytes=30_000_000))
    assert [path for path in web.cache.rglob("*") if path.is_file() and path.suffix != ".lock"] == []


def test_of_several_who_want_a_model_one_fetches_it(web: Web) -> None:
    (web.folder / "m.pb").write_bytes(bytes(3_000_000))
    with ThreadPoolExecutor(4) as pool:
        places = {each.result() for each in [pool.submit(web.fetch, "m.pb") for _ in range(4)]}
    assert len(places) == 1
    assert web.fetched == ["/m.pb"]


def test_a_missing_file_is_one_line_without_the_secrets(web: Web) -> None:
    with pytest.raises(ModelError) as caught:
        web.fetch("nowhere.pb?token=secret")
    assert str(caught.value).startswith(f"{web.url}/nowhere.pb: can't be fetched: ")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_model_that_is_denied_is_not_served(web: Web, status: int) -> None:
    (web.folder / "m.pb").write_bytes(b"x")
    place = web.fetch("m.pb")
    web.handler.status = status
    with pytest.raises(ModelError) as caught:
        web.fetch("m.pb")
    assert f"can't be fetched: the server answers {status} (" in str(caught.value)
    assert f"the copy of the last time is {place}: name that to serve it" in str(caught.value)
    assert web.warnings == []


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_server_in_trouble_leaves_the_last_model(web: Web, status: int) -> None:
    (web.folder / "m.pb").write_bytes(b"x")
    place = web.fetch("m.pb")
    web.handler.status = status
    assert web.fetch("m.pb") == place
    assert len(web.warnings) == 1


@pytest.mark.parametrize("damage", ["short", "gone", "more"])
def test_a_damaged_copy_is_fetched_again(web: Web, damage: str) -> None:
    for name in ("a.pb", "variables/b"):
        (web.folder / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (web.folder / "m" / name).write_bytes(bytes(1000))
    place = web.fetch("m/")
    if damage == "short":
        (place / "variables" / "b").write_bytes(bytes(999))
    elif damage == "gone":
        (place / "variables" / "b").unlink()
    else:
        (place / "c").write_bytes(b"x")
    assert web.fetch("m/") == place
    assert "the copy in the cache is damaged; the model is fetched again" in web.warnings[0]
    assert sorted(path.stat().st_size for path in place.rglob("*") if path.is_file()) == [1000, 1000]
    assert web.fetch("m/") == place
    assert len(web.warnings) == 1


def test_a_damaged_copy_is_not_served_without_storage(web: Web) -> None:
    (web.folder / "m.pb").write_bytes(bytes(1000))
    web.fetch("m.pb").write_bytes(bytes(10))
    web.handler.status = 503
    with pytest.raises(ModelError, match="can't be fetched"):
        web.fetch("m.pb")


def test_without_the_storage_the_last_model_is_served(web: Web) -> None:
    (web.folder / "m.pb").write_bytes(b"x")
    place = web.fetch("m.pb")
    web.server.shutdown()
    web.server.server_close()
    assert web.fetch("m.pb") == place
    (warning,) = web.warnings
    assert "can't be fetched" in warning
    assert str(place) in warning


def test_what_a_killed_process_left_is_removed(web: Web) -> None:
    (web.folder / "m.pb").write_bytes(b"x")
    web.fetch("m.pb")
    (key,) = (path.stem for path in (web.cache / "urls").glob("*.json"))
    (web.cache / "urls" / f"{key}.json").unlink()
    shutil.rmtree(web.cache / "models")
    (web.cache / "models").mkdir()
    (web.cache / "fetching" / key / "m.pb").mkdir(parents=True)
    assert web.fetch("m.pb").read_bytes() == b"x"
    assert list((web.cache / "fetching").iterdir()) == []


@pytest.mark.process
def test_a_folder_is_a_storage_too(tmp_path: Path) -> None:
    model = write_saved_model(tmp_path / "colours" / "3")
    for url in (f"file://{model}", f"file://{model.parent}"):
        place = fetch_model(ModelUrl(url), tmp_path / "cache", progress=lambda *_: None, warn=print)
        assert find_model(place).label == "colours/3"
        assert (place if place.name == "3" else place / "3").is_relative_to(tmp_path / "cache")


@pytest.mark.parametrize(
    ("url", "said"),
    [("nope://x/y", "nope://x/y: can't be fetched: "), ("file:///nowhere/x", "file:///nowhere/x: ")],
)
def test_an_unusable_url_is_one_line(tmp_path: Path, url: str, said: str) -> None:
    with pytest.raises(ModelError) as caught:
        fetch_model(ModelUrl(url), tmp_path, progress=lambda *_: None, warn=print)
    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


@pytest.mark.process
def test_a_worker_serves_a_model_from_a_url(web: Web) -> None:
    write_saved_model(web.folder / "colours" / "3")
    environment = os.environ | {"XDG_CACHE_HOME": str(web.cache)}
    options = (
        "--registry",
        "static:",
        "--port",
        "0",
        "--model",
        f"{web.url}/colours/3/",
        "--input-std",
        "255",
    )
    with worker_process(*options, environment=environment) as worker:
        assert worker.wait_for("fetching the model")["url"] == f"{web.url}/colours/3/"
        assert worker.wait_for("worker ready")


@pytest.mark.process
def test_a_worker_whose_url_fails_is_one_line(tmp_path: Path) -> None:
    address = nobody()
    url = f"http://user:secret@{address}/m.pb"
    done = subprocess.run(
        [*COMMAND, "--registry", "static:", "--model", url],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"tfleet worker: http://{address}/m.pb: can't be fetched: ")
    assert "secret" not in line
