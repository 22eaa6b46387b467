from __future__ import annotations

import math

import pytest

from tfleet.discovery.embedded.catalog import Catalog
from tfleet.discovery.embedded.errors import FullError, RefusedRequestError, UnknownCheckError
from tfleet.discovery.embedded.limits import CatalogLimits, HttpCheckLimits, RegistryLimits
from tfleet.discovery.embedded.model import CheckDefinition, HttpProbe, Service, ServiceDefinition, Status

_PROBE = HttpProbe("http://x/", 1.0, 1.0, "127.0.0.1")
_TTL_S = 10.0
_AFTER_S = 60.0


def _registration(
    service_id: str = "i",
    name: str = "n",
    *,
    status: Status = "passing",
    checks: tuple[str, ...] | None = None,
    port: int = 80,
    tags: tuple[str, ...] = (),
    http: HttpProbe | None = None,
) -> ServiceDefinition:
    ids = (f"service:{service_id}",) if checks is None else checks
    return ServiceDefinition(
        Service(service_id, name, port=port, tags=tags),
        tuple(
            CheckDefinition(
                check_id,
                "c",
                math.inf if http else _TTL_S,
                status,
                deregister_after_s=_AFTER_S,
                http=http,
            )
            for check_id in ids
        ),
    )


def _status(catalog: Catalog, service_id: str = "i") -> list[Status]:
    entry = catalog.entry(service_id)
    assert entry
    return [check.status for check in entry.checks]


def _catalog(*registrations: ServiceDefinition, limits: RegistryLimits | None = None) -> Catalog:
    catalog = Catalog(limits=limits, first_index=1)
    for registration in registrations:
        catalog.register(registration, 0.0)
    return catalog


def test_an_empty_catalog_has_a_usable_index() -> None:
    catalog = _catalog()
    assert (catalog.due, catalog.expire(1e9), catalog.index) == (math.inf, math.inf, 1)
    assert (catalog.service_index("n"), catalog.services_index) == (1, 1)
    assert (catalog.names(), catalog.instances("n"), catalog.entry("i")) == ({}, (), None)


def test_repr_shows_its_counts() -> None:
    catalog = _catalog(_registration("1"), _registration("2"), _registration("3", "m", checks=()))
    assert repr(catalog) == "<Catalog services=3 names=2 checks=2 index=4>"


def test_tags_of_a_name_are_listed_once() -> None:
    catalog = _catalog(_registration("1", tags=("a", "b")), _registration("2", tags=("b", "c")))
    assert catalog.names() == {"n": ("a", "b", "c")}


def test_check_turns_critical_at_its_ttl_and_not_before() -> None:
    catalog = _catalog(_registration())
    assert catalog.expire(9.99) == _TTL_S
    assert _status(catalog) == ["passing"]
    before = catalog.service_index("n")
    assert catalog.expire(10.0) == 10.0 + _AFTER_S
    assert _status(catalog) == ["critical"]
    assert catalog.service_index("n") == before + 1
    assert catalog.services_index == before


def test_heartbeat_starts_the_ttl_anew_without_moving_the_index() -> None:
    catalog = _catalog(_registration())
    before = catalog.index
    catalog.update_check("service:i", "passing", "", 7.0)
    assert catalog.expire(16.9) == 17.0
    assert (_status(catalog), catalog.index) == (["passing"], before)


@pytest.mark.parametrize(
    ("output", "expected"),
    [("", "TTL expired"), ("hm", "TTL expired (last output before timeout follows): hm")],
)
def test_expired_check_tells_its_last_output(output: str, expected: str) -> None:
    catalog = _catalog(_registration())
    catalog.update_check("service:i", "passing", output, 0.0)
    catalog.expire(11.0)
    assert catalog.instances("n")[0].checks[0].output == expected


def test_output_does_not_grow_with_each_registration() -> None:
    catalog = _catalog(_registration())
    for hour in range(1, 4):
        catalog.expire(hour * 20.0)
        catalog.register(_registration(), hour * 20.0)
    assert catalog.instances("n")[0].checks[0].output == "TTL expired"


def test_long_output_is_cut_by_bytes() -> None:
    catalog = _catalog(_registration(), limits=RegistryLimits(catalog=CatalogLimits(output_bytes=5)))
    catalog.update_check("service:i", "passing", "\u00e4\u00e4\u00e4", 0.0)
    assert catalog.instances("n")[0].checks[0].output == "\u00e4\u00e4 ... (captured 5 of 6 bytes)"


def test_service_goes_when_critical_for_long_enough() -> None:
    catalog = _catalog(_registration())
    catalog.expire(12.0)
    assert catalog.expire(71.9) == 72.0
    assert catalog.entry("i")
    before = catalog.index
    assert catalog.expire(72.0) == math.inf
    assert (catalog.entry("i"), catalog.names()) == (None, {})
    assert catalog.service_index("n") == catalog.services_index == before + 1


def test_one_of_several_critical_checks_removes_a_service() -> None:
    catalog = _catalog(_registration(checks=("a", "b")))
    catalog.update_check("a", "critical", "", 0.0)
    catalog.update_check("b", "passing", "", 59.0)
    catalog.expire(60.0)
    assert catalog.entry("i") is None


def test_critical_time_runs_from_the_first_bad_update() -> None:
    """Until the first good one."""
    catalog = _catalog(_registration())
    catalog.update_check("service:i", "critical", "", 0.0)
    catalog.update_check("service:i", "critical", "", 55.0)
    assert catalog.expire(55.0) == 60.0
    catalog.update_check("service:i", "warning", "", 56.0)
    catalog.expire(60.0)
    assert _status(catalog) == ["warning"]


def test_initial_critical_status_does_not_count_towards_removal() -> None:
    catalog = _catalog(_registration(status="critical"))
    catalog.expire(9.0)
    catalog.expire(10.0)
    catalog.expire(69.0)
    assert catalog.entry("i")
    assert catalog.expire(70.0) == math.inf
    assert catalog.entry("i") is None


def test_check_without_deregistration_stays_critical_for_ever() -> None:
    catalog = Catalog()
    catalog.register(ServiceDefinition(Service("i", "n"), (CheckDefinition("c", "c", _TTL_S),)), 0.0)
    assert catalog.expire(10.0) == math.inf
    assert catalog.expire(1e9) == math.inf
    assert _status(catalog) == ["critical"]


def test_the_next_due_time_is_a_lower_bound() -> None:
    catalog = _catalog(_registration())
    assert catalog.due == _TTL_S
    catalog.update_check("service:i", "passing", "", 5.0)
    assert catalog.due == _TTL_S, "a lower bound: nothing is searched for at a heartbeat"
    assert catalog.expire(10.0) == catalog.due == 15.0
    catalog.register(_registration("j"), 1.0)
    assert catalog.due == 11.0


def test_unknown_check_is_refused() -> None:
    with pytest.raises(UnknownCheckError, match='CheckID "x" does not have associated TTL'):
        _catalog().update_check("x", "passing", "", 0.0)


def test_registering_the_same_again_only_resets_the_timer() -> None:
    catalog = _catalog(_registration())
    before = (catalog.index, catalog.services_index, catalog.entry("i"))
    catalog.register(_registration(), 8.0)
    assert (catalog.index, catalog.services_index, catalog.entry("i")) == before
    assert catalog.expire(10.0) == 18.0


def test_registering_again_keeps_status_output_and_create_index() -> None:
    catalog = _catalog(_registration())
    catalog.update_check("service:i", "critical", "broken", 1.0)
    catalog.register(_registration(port=81), 2.0)
    entry = catalog.entry("i")
    assert entry
    (check,) = entry.checks
    assert (check.status, check.output) == ("critical", "broken")
    assert (entry.service.port, entry.create_index, entry.modify_index) == (81, 2, 4)
    assert catalog.services_index == 4


def test_new_check_on_a_known_service_moves_its_index_only() -> None:
    catalog = _catalog(_registration(checks=()))
    catalog.register(_registration(), 0.0)
    assert (catalog.services_index, catalog.service_index("n")) == (2, 3)


def test_checks_not_named_again_stay_unless_they_are_replaced() -> None:
    catalog = _catalog(_registration(checks=("a",)))
    catalog.register(_registration(checks=("b",), tags=("t",)), 0.0)
    entry = catalog.entry("i")
    assert entry
    assert [(check.id, check.service_tags) for check in entry.checks] == [("a", ("t",)), ("b", ("t",))]
    before = catalog.index
    catalog.register(_registration(checks=("b",), tags=("t",)), 0.0, replace_checks=True)
    entry = catalog.entry("i")
    assert entry
    assert [check.id for check in entry.checks] == ["b"]
    assert catalog.index == before + 1
    with pytest.raises(UnknownCheckError):
        catalog.update_check("a", "passing", "", 0.0)


def test_renamed_service_leaves_its_old_name() -> None:
    catalog = _catalog(_registration("1", "old"), _registration("2", "old"))
    catalog.register(_registration("1", "new"), 0.0)
    assert [entry.service.id for entry in catalog.instances("old")] == ["2"]
    assert catalog.service_index("old") == catalog.service_index("new") == catalog.index
    catalog.register(_registration("2", "new"), 0.0)
    assert set(catalog.names()) == {"new"}


def test_a_check_id_belongs_to_its_last_service() -> None:
    catalog = _catalog(_registration("1", "n", checks=("c",)), _registration("2", "m", checks=("c",)))
    assert (_status(catalog, "1"), _status(catalog, "2")) == ([], ["passing"])
    assert catalog.service_index("n") == catalog.service_index("m")
    catalog.deregister("1")
    catalog.update_check("c", "warning", "", 0.0)
    assert _status(catalog, "2") == ["warning"]


def test_deregistering_moves_its_own_and_absent_indexes() -> None:
    catalog = _catalog(_registration("1"), _registration("2"), _registration("3", "other"))
    other = catalog.service_index("other")
    assert catalog.deregister("1")
    assert catalog.service_index("n") == catalog.index
    assert catalog.deregister("2")
    assert catalog.service_index("n") == catalog.service_index("never") == catalog.index
    assert catalog.service_index("other") == other
    assert not catalog.deregister("2")


def test_full_catalog_refuses_new_services_and_takes_known_ones() -> None:
    catalog = _catalog(_registration("1"), limits=RegistryLimits(catalog=CatalogLimits(services=1)))
    with pytest.raises(FullError, match="holds 1 services"):
        catalog.register(_registration("2"), 0.0)
    catalog.register(_registration("1", port=81), 0.0)
    assert [entry.service.port for entry in catalog.entries()] == [81]


def test_too_many_checks_are_refused_and_nothing_has_changed() -> None:
    catalog = _catalog(
        _registration(checks=("a", "b")), limits=RegistryLimits(catalog=CatalogLimits(checks_per_service=2))
    )
    before = (catalog.index, catalog.entry("i"))
    with pytest.raises(RefusedRequestError, match="more than 2"):
        catalog.register(_registration(checks=("c",)), 0.0)
    assert (catalog.index, catalog.entry("i")) == before


def test_an_http_check_is_probed_while_registered() -> None:
    catalog = _catalog(_registration("1", http=_PROBE), _registration("2"))
    assert catalog.probes == {"service:1": _PROBE}
    catalog.register(_registration("1", http=HttpProbe("http://y/", 1.0, 1.0, "127.0.0.1")), 0.0)
    assert catalog.probes["service:1"].url == "http://y/"
    catalog.register(_registration("1"), 0.0)
    assert catalog.probes == {}, "it has become a TTL check"
    catalog.register(_registration("1", http=_PROBE), 0.0)
    catalog.deregister("1")
    assert catalog.probes == {}


def test_a_probes_result_is_shown_and_counts_for_removal() -> None:
    catalog = _catalog(_registration(status="critical", http=_PROBE))
    catalog.probed("service:i", "passing", "HTTP GET ...", 5.0)
    assert _status(catalog) == ["passing"]
    assert catalog.due == math.inf, "no TTL runs"
    catalog.probed("service:i", "critical", "refused", 10.0)
    catalog.expire(10.0 + _AFTER_S)
    assert catalog.entry("i") is None
    catalog.probed("service:i", "passing", "too late", 71.0)
    assert catalog.entry("i") is None


def test_an_http_check_takes_no_heartbeats() -> None:
    catalog = _catalog(_registration(http=_PROBE))
    with pytest.raises(UnknownCheckError, match="does not have associated TTL"):
        catalog.update_check("service:i", "passing", "", 0.0)


def test_one_http_check_too_many_is_refused_and_changes_nothing() -> None:
    catalog = _catalog(
        _registration("1", http=_PROBE), limits=RegistryLimits(http_checks=HttpCheckLimits(checks=1))
    )
    before = catalog.index
    with pytest.raises(FullError, match="1 HTTP checks"):
        catalog.register(_registration("2", http=_PROBE), 0.0)
    assert (catalog.index, catalog.entry("2")) == (before, None)
    catalog.register(_registration("1", http=HttpProbe("http://y/", 1.0, 1.0, "127.0.0.1")), 0.0)
    catalog.register(_registration("3"), 0.0)
