"""Requests for models and versions that are loading, and for those that nobody has yet."""

from __future__ import annotations

import pytest

from tests.proxy.balancing.test_model_router import HEAD, NOW_S, answer, router_of, versions
from tfleet.contract.problem import ProblemError
from tfleet.discovery.plan import Canary, Plan
from tfleet.discovery.plan_watch import Plans
from tfleet.discovery.reported_versions import ReportedVersion, VersionState
from tfleet.proxy.balancing.model_router import ModelRouter
from tfleet.proxy.balancing.versions import ANY, ModelVersion, Wanted
from tfleet.proxy.p2p.lease_shares import leased_workers


def loading(model: str, version: str = "1") -> ReportedVersion:
    """What a `tfleet up` said of a version at NOW_S."""
    return ReportedVersion(VersionState.LOADING, model, version, "", "box:/m", NOW_S)


def test_a_model_that_loads_for_the_first_time_is_503() -> None:
    router = router_of("cats/1")
    router.use_plans(Plans(loading=(loading("dogs"), loading("cats", "2"))))
    says = "is loading: none of its workers is ready yet"
    assert answer(router, Wanted("dogs")) == (503, 1, f"model dogs {says}")
    assert answer(router, Wanted("dogs", version="1")) == (503, 1, f"model dogs, version 1 {says}")
    assert answer(router, Wanted("cats", version="2")) == (503, 1, f"model cats, version 2 {says}")
    assert versions(router, 2, Wanted("cats")) == {"1": 2}
    unknown = "there is no model called mice: there is cats, dogs"
    assert answer(router, Wanted("mice")) == (404, None, unknown)
    assert answer(router, Wanted("dogs", version="2"))[0] == 404


def test_the_first_ready_model_does_not_answer_for_all() -> None:
    router = router_of("cats/1")
    router.use_plans(Plans(loading=(loading("dogs"),)))
    status, _, said = answer(router, ANY)
    assert (status, said.endswith("It has cats, dogs")) == (400, True)
    router.use_plans(Plans(default="cats", loading=(loading("dogs"),)))
    assert versions(router, 2) == {"1": 2}
    router.use_plans(Plans(default="dogs", loading=(loading("dogs"),)))
    assert answer(router, ANY)[0] == 503
    router.use_plans(Plans(loading=(loading("cats", "2"),)))
    assert versions(router, 2) == {"1": 2}


@pytest.mark.parametrize("percent", [50.0, 100.0])
def test_a_model_with_a_canary_that_is_loading_is_503(percent: float) -> None:
    """`tfleet up --models` was restarted during a rollout: there is the plan, and no worker yet."""
    router = router_of("cats/1")
    router.use_plans(Plans({"dogs": Plan("1", Canary("2", percent))}, loading=(loading("dogs"),)))
    assert [answer(router, Wanted("dogs"))[0] for _ in range(4)] == [503] * 4
    with pytest.raises(ProblemError):
        leased_workers(router, Wanted("dogs"), HEAD, 2, ())
    assert router.fallbacks.of(ModelVersion("dogs", "2")) == 0, "nobody stood in"


def test_what_a_killed_command_was_loading_is_forgotten() -> None:
    router = ModelRouter(router_of("cats/1").table, clock=lambda: NOW_S + 301)
    router.use_plans(Plans(loading=(loading("dogs"),)))
    assert versions(router, 2) == {"1": 2}
    assert answer(router, Wanted("dogs"))[0] == 404


def test_what_loads_becomes_stale_while_requests_come() -> None:
    now_s = [NOW_S]
    router = ModelRouter(router_of("cats/1").table, clock=lambda: now_s[0])
    router.use_plans(Plans(loading=(loading("dogs"),)))
    assert answer(router, ANY)[0] == 400
    now_s[0] = NOW_S + 299.5
    assert answer(router, Wanted("dogs"))[0] == 503
    now_s[0] = NOW_S + 300.4
    assert answer(router, Wanted("dogs"))[0] == 503, "it looks once a second"
    now_s[0] = NOW_S + 300.5
    assert answer(router, Wanted("dogs"))[0] == 404
    assert router.route(ANY, HEAD).candidates is router.table, "nothing is left to decide"
    now_s[0] = NOW_S
    assert answer(router, Wanted("dogs"))[0] == 503, "the clock was set back"


def test_another_version_that_loads_changes_nothing() -> None:
    router = router_of("cats/1")
    router.use_plans(Plans(loading=(loading("cats", "2"),)))
    assert router.route(ANY, HEAD).candidates is router.table
