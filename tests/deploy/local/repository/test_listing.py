from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import pytest

from tfleet.deploy.local.repository import listing
from tfleet.deploy.local.repository.listing import list_model, list_models
from tfleet.deploy.local.repository.values import Poll, RepositoryError, VersionFiles, VersionPolicy


def write(file: Path, text: str = "x") -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return file


def look(folder: Path) -> Poll:
    return list_models(folder, VersionPolicy())


def versions(folder: Path) -> Mapping[str, VersionFiles]:
    return list_model(folder, VersionPolicy())[0].versions


def stamp(folder: Path) -> str:
    return versions(folder)["1"].stamp


def activity(folder: Path) -> str:
    return versions(folder)["1"].activity


def test_models_and_their_versions_are_found(tmp_path: Path) -> None:
    for place in ("cats/1", "cats/12", "dogs/3/saved_model"):
        write(tmp_path / place / "graph.pb")
    write(tmp_path / "README.md")
    found = look(tmp_path)
    assert {name: set(model.versions) for name, model in found.models.items()} == {
        "cats": {"1", "12"},
        "dogs": {"3"},
    }
    assert found.models["cats"].versions["12"].path == tmp_path / "cats" / "12"
    assert found.problems == ()


def test_what_can_t_be_looked_at_does_not_hide_the_others(tmp_path: Path) -> None:
    """Here a link to a name that no file system takes; else one whose folder may not be entered."""
    write(tmp_path / "cats" / "1" / "graph.pb")
    for link in (tmp_path / "dogs", tmp_path / "cats" / "2"):
        link.symlink_to("x" * 300)
    found = look(tmp_path)
    assert {name: set(model.versions) for name, model in found.models.items()} == {
        "cats": {"1"},
        "dogs": set(),
    }
    assert found.problems == (
        f"{tmp_path}/cats/2: cannot be read: File name too long",
        f"{tmp_path}/dogs: cannot be read: File name too long",
    )


def test_leading_zeros_of_a_version_do_not_count(tmp_path: Path) -> None:
    for name in ("007", "08", "8", "0"):
        write(tmp_path / name / "graph.pb")
    found, problems = list_model(tmp_path, VersionPolicy())
    assert {version: files.path.name for version, files in found.versions.items()} == {
        "8": "8",
        "7": "007",
        "0": "0",
    }
    assert problems == [f"{tmp_path / '08'}: is not served: another folder is version 8, too"]


@pytest.mark.parametrize("name", [".cats", "cats.tmp", "cats.partial", "__pycache__"])
def test_what_is_being_made_is_left_out(tmp_path: Path, name: str) -> None:
    write(tmp_path / name / "1" / "graph.pb")
    write(tmp_path / "dogs" / name / "graph.pb")
    write(tmp_path / "dogs" / "1" / "graph.pb")
    found = {model: set(files.versions) for model, files in look(tmp_path).models.items()}
    assert found == {"dogs": {"1"}}


def test_a_version_is_a_number_or_has_a_model_toml(tmp_path: Path) -> None:
    for name in ("1", "assets", "²", "v2"):
        write(tmp_path / name / "graph.pb")
    write(tmp_path / "v2" / "model.toml")
    (tmp_path / "current").symlink_to("v2")
    assert set(versions(tmp_path)) == {"1", "v2"}


def test_each_change_of_a_file_is_seen(tmp_path: Path) -> None:
    file = write(tmp_path / "1" / "variables" / "data", "a")
    seen = [stamp(tmp_path)]
    write(file, "ab")
    seen.append(stamp(tmp_path))
    os.utime(file, ns=(0, 0))
    seen.append(stamp(tmp_path))
    write(tmp_path / "1" / "labels.txt")
    seen.append(stamp(tmp_path))
    file.rename(file.with_name("other"))
    seen.append(stamp(tmp_path))
    assert len(set(seen)) == 5
    assert seen[-1] == stamp(tmp_path), "and nothing else"


@pytest.mark.parametrize("name", [".graph.pb.Xy3", "graph.pb.tmp", ".tmp/graph.pb", "new.partial/graph.pb"])
def test_a_temporary_file_is_activity_but_no_part_of_it(tmp_path: Path, name: str) -> None:
    write(tmp_path / "1" / "graph.pb")
    before = stamp(tmp_path), activity(tmp_path)
    write(tmp_path / "1" / name)
    assert stamp(tmp_path) == before[0]
    assert activity(tmp_path) != before[1]


def test_what_a_worker_writes_is_not_looked_at(tmp_path: Path) -> None:
    write(tmp_path / "1" / "answer.py")
    before = versions(tmp_path)
    write(tmp_path / "1" / "__pycache__" / "answer.pyc")
    assert versions(tmp_path) == before


def test_a_version_without_files_has_no_stamp(tmp_path: Path) -> None:
    (tmp_path / "1").mkdir()
    write(tmp_path / "2" / ".hidden")
    assert {name: files.stamp for name, files in versions(tmp_path).items()} == {"1": "", "2": ""}


def test_links_are_followed_but_never_for_ever(tmp_path: Path) -> None:
    file = write(tmp_path / "store" / "a" / "graph.pb")
    (tmp_path / "models" / "cats").mkdir(parents=True)
    (tmp_path / "models" / "cats" / "1").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "up").symlink_to(tmp_path / "store")
    (tmp_path / "store" / "nowhere").symlink_to(tmp_path / "nothing")
    (tmp_path / "models" / "linked").symlink_to(tmp_path / "models" / "cats")
    before = look(tmp_path / "models").models
    assert before["cats"].versions["1"].stamp == before["linked"].versions["1"].stamp != ""
    write(file, "changed")
    after = look(tmp_path / "models").models
    assert after["cats"].versions["1"].stamp != before["cats"].versions["1"].stamp


def test_a_model_without_a_version_folder_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path / "cats" / "saved_model.pb")
    write(tmp_path / "dogs.keras")
    (tmp_path / "empty").mkdir()
    assert look(tmp_path).problems == (
        f"{tmp_path}/dogs.keras: is not in a version folder: move it to {tmp_path}/dogs/1/",
        f"{tmp_path}/cats: has no version folder, such as {tmp_path}/cats/1",
    )


def test_a_name_that_no_header_can_have_is_a_problem(tmp_path: Path) -> None:
    write(tmp_path / "模型" / "1" / "graph.pb")
    found = look(tmp_path)
    assert found.models == {}
    assert "\\u6a21\\u578b': a model's name has to be printable ASCII" in found.problems[0]


def test_what_is_beyond_the_bounds_is_named(tmp_path: Path) -> None:
    for number in range(listing.MAX_MODELS + 1):
        (tmp_path / f"m{number:03}").mkdir()
    for number in range(1, listing.MAX_VERSIONS + 2):
        write(tmp_path / "m000" / str(number) / "graph.pb")
    found = look(tmp_path)
    assert len(found.models) == listing.MAX_MODELS
    assert set(found.models["m000"].versions) == {str(n) for n in range(2, listing.MAX_VERSIONS + 2)}
    assert found.problems == (
        f"{tmp_path}: has 101 models; only the first 100 by name are served",
        f"{tmp_path}/m000: has 101 versions; only the highest 100 are served",
    )


@pytest.mark.process
def test_a_version_of_too_many_files_is_not_served(tmp_path: Path) -> None:
    for number in range(listing.MAX_FILES + 1):
        (tmp_path / "1").mkdir(exist_ok=True)
        (tmp_path / "1" / str(number)).touch()
    write(tmp_path / "2" / "graph.pb")
    files, problems = list_model(tmp_path, VersionPolicy())
    assert set(files.versions) == {"2"}
    line = f"{tmp_path}/1: has more than 10,000 files: it is not served"
    assert (problems, files.unreadable) == ([line], {"1": line})


def test_a_folder_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(RepositoryError, match="nowhere: cannot be read: No such file or directory"):
        look(tmp_path / "nowhere")
    with pytest.raises(RepositoryError, match="cannot be read: Not a directory"):
        look(write(tmp_path / "file"))
