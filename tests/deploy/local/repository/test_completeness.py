from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tfleet.deploy.local.repository.completeness import found_models, lasting_problems
from tfleet.deploy.local.repository.values import ModelFiles, Poll, Release, VersionFiles, VersionPolicy


def files(stamp: str, activity: str | None = None) -> VersionFiles:
    return VersionFiles(Path("1"), stamp, stamp if activity is None else activity)


def poll(**versions: VersionFiles) -> Poll:
    return Poll({"flowers": ModelFiles({name.removeprefix("v"): each for name, each in versions.items()})})


def versions(before: Poll, now: Poll) -> Mapping[str, Release | None]:
    return found_models(before, now)["flowers"].versions


def test_the_same_files_twice_are_complete() -> None:
    found = versions(poll(v1=files("a")), poll(v1=files("a")))
    assert found == {"1": Release("flowers", "1", "a", Path("1"))}


def test_files_that_change_are_not_complete() -> None:
    assert versions(poll(v1=files("a")), poll(v1=files("b"))) == {"1": None}


def test_a_new_version_waits_for_the_second_poll() -> None:
    assert versions(poll(), poll(v1=files("a"))) == {"1": None}


def test_an_empty_folder_is_never_complete() -> None:
    assert versions(poll(v1=files("")), poll(v1=files(""))) == {"1": None}


def test_a_temporary_file_that_grows_is_a_change() -> None:
    assert versions(poll(v1=files("a", "x")), poll(v1=files("a", "y"))) == {"1": None}


def test_a_temporary_file_is_no_part_of_the_release() -> None:
    (first,) = versions(poll(v1=files("a", "x")), poll(v1=files("a", "x"))).values()
    (then,) = versions(poll(v1=files("a")), poll(v1=files("a"))).values()
    assert first == then


def test_what_one_poll_missed_has_not_gone() -> None:
    there, nothing = poll(v1=files("a")), Poll({})
    assert versions(there, poll()) == {"1": None}
    assert versions(there, nothing) == versions(nothing, there) == {"1": None}
    assert found_models(nothing, nothing) == {}


def test_what_two_polls_could_not_read_is_unreadable() -> None:
    before = Poll({"flowers": ModelFiles({}, unreadable={"1": "denied", "2": "denied"})})
    now = Poll({"flowers": ModelFiles({}, unreadable={"2": "too many files", "3": "denied"})})
    assert found_models(before, now)["flowers"].unreadable == {"2": "too many files"}
    assert found_models(Poll({}), now)["flowers"].unreadable == {}


def test_a_models_policy_is_the_latest_one() -> None:
    def at(latest: int) -> Poll:
        return Poll({"flowers": ModelFiles({}, VersionPolicy(latest))})

    assert found_models(at(1), at(2))["flowers"].policy.latest == 2
    assert found_models(at(1), Poll({}))["flowers"].policy.latest == 1


def test_a_problem_counts_when_it_lasts() -> None:
    assert lasting_problems(Poll({}, ("a", "b")), Poll({}, ("b", "c"))) == ("b",)


_STAMPS = st.sampled_from(["", "a", "b"])
_POLLS = st.dictionaries(st.sampled_from("123"), st.builds(files, _STAMPS, _STAMPS)).map(
    lambda found: Poll({"flowers": ModelFiles(found)})
)


@given(_POLLS, _POLLS)
def test_only_what_both_polls_have_is_complete(before: Poll, now: Poll) -> None:
    for version, release in versions(before, now).items():
        was, has = (each.models["flowers"].versions.get(version) for each in (before, now))
        assert (release is not None) == (was == has and has is not None and has.stamp != "")
