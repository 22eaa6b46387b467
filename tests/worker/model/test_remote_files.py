"""Which files of a URL are fetched, and where they go."""

from pathlib import PurePosixPath

import pytest

from tfleet.worker.model.errors import ModelError
from tfleet.worker.model.remote_files import (
    RemoteFile,
    RemoteLimits,
    check_limits,
    files_of_highest_version,
    local_name,
    remote_file,
    stamp,
)


def files(*names: str, size: int | None = 1, mark: str = "m") -> list[RemoteFile]:
    return [RemoteFile(f"bucket/{name}", PurePosixPath(name), size, mark) for name in names]


@pytest.mark.parametrize(
    "name", ["../x", "/etc/passwd", "a/../../x", "", "%2e%2e/x", "%2Fetc%2Fpasswd", "a\nb", "a%00"]
)
def test_no_file_leaves_the_models_folder(name: str) -> None:
    with pytest.raises(ModelError, match="is no name for a file of a model"):
        remote_file("x", name, {})


def test_a_file_has_the_storages_mark_of_its_content() -> None:
    info = {"size": 3, "ETag": '"a"', "type": "file", "LastModified": 7}
    file = remote_file("p", "variables/x%20y", info)
    assert (file.name, file.size_bytes) == (PurePosixPath("variables/x y"), 3)
    assert file.mark == "[('etag', '\"a\"'), ('lastmodified', '7')]"
    assert not remote_file("p", "x", {"size": 3}).mark


@pytest.mark.parametrize(
    ("names", "kept"),
    [
        (["1/saved_model.pb", "10/saved_model.pb", "9/x"], ["10/saved_model.pb"]),
        (["saved_model.pb", "variables/x"], ["saved_model.pb", "variables/x"]),
        (["graph.pb", "1/x"], ["1/x", "graph.pb"]),
        (["README", "2/x", "old/x"], ["2/x"]),
        (["²/x"], ["²/x"]),
    ],
)
def test_only_the_highest_version_is_fetched(names: list[str], kept: list[str]) -> None:
    assert [str(file.name) for file in files_of_highest_version(files(*names))] == kept


def test_a_model_that_is_too_large_is_not_fetched() -> None:
    limits = RemoteLimits(files=2, bytes=10)
    assert check_limits(files("a", "b", size=5), limits, 10) == 10
    assert check_limits(files("a", size=None), limits, 10) is None
    for there, free, said in (
        (files("a", "b", size=6), 99, "has 12 bytes, more than 10"),
        (files("a", size=9), 8, "has 9 bytes, and the cache's disk has 8 free"),
        (files("a", "b", "c"), 99, "there are 3 files, more than 2"),
        (files(), 99, "there is no file"),
    ):
        with pytest.raises(ModelError, match=said):
            check_limits(there, limits, free)


def test_a_stamp_changes_with_any_file() -> None:
    base = files("a", "b")
    assert stamp(base) == stamp(files("a", "b"))
    changed = (files("a"), files("a", "b", size=2), files("a", "b", mark="n"))
    assert len({stamp(each) for each in (base, *changed)}) == 4
    assert stamp([*base, *files("c", mark="")]) is None, "the storage does not say when it changes"


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("bucket/flowers/3", "flowers/3"),
        ("bucket/flowers/3/", "flowers/3"),
        ("bucket/flowers", "flowers"),
        ("http://host:80/models/flowers.keras", "flowers.keras"),
        ("http://host:80/a%20b/", "a b"),
        ("3", "model/3"),
        ("", "model"),
        ("..", "model"),
    ],
)
def test_the_path_gives_name_and_version(path: str, name: str) -> None:
    assert local_name(path) == PurePosixPath(name)
