from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfleet.deploy.local.repository.decision import Actions, RunningRelease, decide, wanted_releases
from tfleet.deploy.local.repository.values import FoundModel, Release, VersionPolicy

WORKERS = 2


def release(version: str, stamp: str = "a") -> Release:
    return Release("flowers", version, stamp, Path("flowers") / version)


def found(
    *releases: Release, changing: Collection[str] = (), policy: VersionPolicy | None = None
) -> FoundModel:
    versions: dict[str, Release | None] = {each.version: each for each in releases}
    return FoundModel({**versions, **dict.fromkeys(changing)}, policy or VersionPolicy())


def running(version: str, ready: int = WORKERS, stamp: str = "a") -> RunningRelease:
    return RunningRelease(release(version, stamp), WORKERS, ready)


def test_the_highest_complete_version_starts() -> None:
    model = found(release("2"), release("10"), release("9"), changing=["11"])
    assert decide(model, []) == Actions(start=(release("10"),))


def test_the_old_version_stays_until_all_new_workers_are_ready() -> None:
    model = found(release("1"), release("2"))
    assert decide(model, [running("1")]) == Actions(start=(release("2"),))
    for ready in range(WORKERS):
        assert decide(model, [running("1"), running("2", ready)]) == Actions()
    assert decide(model, [running("1"), running("2")]) == Actions(drain=(release("1"),))


def test_older_versions_are_kept_as_the_policy_says() -> None:
    model = found(*(release(str(number)) for number in range(1, 5)), policy=VersionPolicy(latest=3))
    assert decide(model, []).start == (release("4"), release("3"), release("2"))
    assert decide(model, [running(str(number)) for number in range(1, 5)]) == Actions(drain=(release("1"),))


def test_all_or_specific_versions_run_as_the_policy_says() -> None:
    versions = [release(str(number)) for number in range(1, 4)]
    assert len(decide(found(*versions, policy=VersionPolicy(latest=None)), []).start) == 3
    specific = found(*versions, policy=VersionPolicy(specific=frozenset({"1", "7"})))
    assert decide(specific, [running("3")]) == Actions(start=(release("1"),))
    assert decide(specific, [running("3"), running("1")]) == Actions(drain=(release("3"),))


def test_a_version_that_the_plan_names_runs_and_stays() -> None:
    model = found(release("1"), release("2"), release("3"))
    assert decide(model, [], planned={"1"}).start == (release("3"), release("1"))
    assert decide(model, [running("1"), running("2"), running("3")], planned={"1"}).drain == (release("2"),)
    assert decide(found(release("3")), [running("1"), running("3")], planned={"1"}) == Actions()


def test_an_unusable_version_leaves_the_old_one_serving() -> None:
    model = found(release("1"), release("2"))
    assert decide(model, [running("1"), running("2", 0)], unusable={release("2")}) == Actions(
        drain=(release("2"),)
    )
    assert decide(model, [running("1")], unusable={release("2")}) == Actions()
    assert decide(model, [], unusable={release("2")}) == Actions(start=(release("1"),))


def test_changed_files_bring_an_unusable_version_up() -> None:
    model = found(release("1"), release("2", "b"))
    assert decide(model, [running("1")], unusable={release("2", "a")}).start == (release("2", "b"),)


def test_new_files_of_a_version_replace_it_one_after_the_other() -> None:
    model = found(release("1"), release("2", "b"))
    assert decide(model, [running("2")]) == Actions(start=(release("2", "b"),))
    assert decide(model, [running("2"), running("2", 1, "b")]) == Actions()
    assert decide(model, [running("2"), running("2", 2, "b")]) == Actions(drain=(release("2"),))


@pytest.mark.parametrize("state", ["changing", "unusable"])
def test_overwriting_a_version_brings_no_older_one_back(state: str) -> None:
    new = release("2", "b")
    model = found(release("1"), changing=["2"]) if state == "changing" else found(release("1"), new)
    assert decide(model, [running("2")], unusable={new}) == Actions()


def test_a_removed_version_drains_when_another_serves() -> None:
    model = found(release("1"))
    assert decide(model, [running("2")]) == Actions(start=(release("1"),))
    assert decide(model, [running("2"), running("1", 1)]) == Actions()
    assert decide(model, [running("2"), running("1")]) == Actions(drain=(release("2"),))


def test_an_empty_model_folder_leaves_the_last_one_serving() -> None:
    assert decide(found(), [running("2")]) == Actions()
    assert decide(found(changing=["3"]), [running("2")]) == Actions()


def test_a_model_that_has_gone_drains_whatever_its_plan_says() -> None:
    assert decide(None, [running("2"), running("1", 0)], planned={"1"}) == Actions(
        drain=(release("2"), release("1"))
    )


@st.composite
def _situations(draw: st.DrawFn) -> tuple[FoundModel, list[RunningRelease], set[Release], set[str]]:
    numbers = st.sampled_from(["1", "2", "3", "10", "x"])
    releases = st.builds(release, numbers, st.sampled_from(["a", "b"]))
    versions: dict[str, Release | None] = {each.version: each for each in draw(st.lists(releases))}
    versions |= dict.fromkeys(draw(st.sets(numbers, max_size=2)))
    policy = draw(st.builds(VersionPolicy, st.none() | st.integers(1, 3), st.none() | st.frozensets(numbers)))
    on = draw(
        st.lists(
            st.builds(RunningRelease, releases, st.just(2), st.integers(0, 2)), unique_by=lambda r: r.release
        )
    )
    return FoundModel(versions, policy), on, draw(st.sets(releases)), draw(st.sets(numbers))


@pytest.mark.process
@given(_situations())
def test_a_drain_never_ends_the_last_complete_release(
    situation: tuple[FoundModel, list[RunningRelease], set[Release], set[str]],
) -> None:
    model, on, unusable, planned = situation
    actions = decide(model, on, unusable=unusable, planned=planned)
    left = [each for each in on if each.release not in actions.drain]
    usable = [each for each in on if each.release not in unusable]
    assert not any(each.complete for each in usable) or any(each.complete for each in left)
    assert not set(actions.start) & {each.release for each in on}, "nothing is started twice"
    assert not set(actions.start) & unusable
    kept = {each.release.version for each in left}
    assert {each.release.version for each in usable} & planned <= kept


@pytest.mark.process
@given(_situations())
def test_the_decisions_come_to_an_end(
    situation: tuple[FoundModel, list[RunningRelease], set[Release], set[str]],
) -> None:
    """When what started is ready and what drained is gone, what is wanted runs, and nothing else happens."""
    model, on, unusable, planned = situation
    for _ in range(3):
        actions = decide(model, on, unusable=unusable, planned=planned)
        on = [RunningRelease(each.release, 2, 2) for each in on if each.release not in actions.drain]
        on += [RunningRelease(each, 2, 2) for each in actions.start]
    assert decide(model, on, unusable=unusable, planned=planned) == Actions()
    wanted = wanted_releases(model, [each.release for each in on], unusable=unusable, planned=planned)
    assert set(wanted) <= {each.release for each in on}
