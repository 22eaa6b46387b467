from __future__ import annotations

import pytest

from tests.deploy.compose.fake_engine import FakeEngine, container
from tfleet.deploy.compose.container import Container
from tfleet.deploy.compose.project import NoSuchProjectError, containers_of_project, workers_of

MINE = container(1)
MINE_TOO = container(2)
OTHER = container(1, id="other", project="other", folder="/home/you")
SOMEBODYS = container(1, id="celery", project="shop", folder="/home/me/shop", title="")


def choose(*found: Container, named: str | None = None, folder: str = "/elsewhere") -> list[Container]:
    return containers_of_project(found, named=named, service="worker", folder=folder)


def test_the_only_project_is_chosen_in_any_folder() -> None:
    assert choose(MINE_TOO, MINE) == [MINE, MINE_TOO]


def test_of_several_projects_this_folders_is_chosen() -> None:
    assert choose(MINE, OTHER, MINE_TOO, folder="/home/me/fleet") == [MINE, MINE_TOO]


def test_a_given_project_name_is_chosen() -> None:
    assert choose(MINE, named="fleet", folder="/home/you") == [MINE]
    assert choose(SOMEBODYS, named="shop") == [SOMEBODYS], "their own image, perhaps"


def test_other_programs_services_are_not_taken_for_ours() -> None:
    assert choose(SOMEBODYS, MINE) == [MINE]
    with pytest.raises(NoSuchProjectError, match=r"there is no tfleet worker .*docker compose up"):
        choose(SOMEBODYS, folder="/home/me/shop")


def test_several_projects_without_a_choice_are_an_error() -> None:
    with pytest.raises(
        NoSuchProjectError, match="several compose projects, fleet, other: choose one with -p"
    ):
        choose(MINE, OTHER)


def test_an_unknown_project_name_is_reported() -> None:
    with pytest.raises(NoSuchProjectError, match=r"there is no container of 'flet' with the service 'wor"):
        choose(named="flet")


def test_the_project_is_found_through_the_engine() -> None:
    engine = FakeEngine.of(MINE, OTHER)
    assert workers_of(engine, named="other", service="worker", folder="") == [OTHER]


def test_a_swarm_service_says_how_to_scale_it() -> None:
    engine = FakeEngine.of()
    engine.swarm = ("tfleet_worker",)
    with pytest.raises(NoSuchProjectError, match=r"tfleet_worker belongs to a Swarm.* tfleet_worker=N"):
        workers_of(engine, named=None, service="worker", folder="")
