"""Whatever is done to a catalog, in any order, its rules hold."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tests.discovery.embedded.test_catalog import _registration
from tfleet.discovery.embedded.catalog import Catalog
from tfleet.discovery.embedded.errors import RefusedRequestError, UnknownCheckError
from tfleet.discovery.embedded.limits import CatalogLimits, RegistryLimits
from tfleet.discovery.embedded.model import Status

pytestmark = pytest.mark.process

_IDS = st.sampled_from(["1", "2", "3"])
_NAMES = st.sampled_from(["n", "m"])
_CHECK_IDS = st.sampled_from(["a", "b", "service:1"])


class CatalogMachine(RuleBasedStateMachine):
    """Whatever happens, in whatever order: what a watch relies on holds."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.catalog = Catalog(limits=RegistryLimits(catalog=CatalogLimits(services=2, checks_per_service=3)))
        self.seen = self._answers()

    def _answers(self) -> dict[str, tuple[int, object]]:
        answers: dict[str, tuple[int, object]] = {
            name: (self.catalog.service_index(name), self._visible(name)) for name in ("n", "m", "never")
        }
        return answers | {"/": (self.catalog.services_index, set(self.catalog.names()))}

    def _visible(self, name: str) -> object:
        """All of an answer but outputs and the order of checks, which may change without the index."""
        return [
            (entry.service, sorted((check.id, check.status) for check in entry.checks))
            for entry in self.catalog.instances(name)
        ]

    @rule(
        service_id=_IDS,
        name=_NAMES,
        checks=st.frozensets(_CHECK_IDS),
        port=st.sampled_from([80, 81]),
        replace=st.booleans(),
    )
    def register(
        self, service_id: str, name: str, checks: frozenset[str], port: int, *, replace: bool
    ) -> None:
        registration = _registration(service_id, name, checks=tuple(sorted(checks)), port=port)
        try:
            self.catalog.register(registration, self.now, replace_checks=replace)
        except RefusedRequestError:
            assert self._answers() == self.seen

    @rule(service_id=_IDS)
    def deregister(self, service_id: str) -> None:
        known = self.catalog.entry(service_id) is not None
        assert self.catalog.deregister(service_id) is known

    @rule(check_id=_CHECK_IDS, status=st.sampled_from(["passing", "warning", "critical"]))
    def update(self, check_id: str, status: Status) -> None:
        known = any(check.id == check_id for entry in self.catalog.entries() for check in entry.checks)
        try:
            self.catalog.update_check(check_id, status, "x", self.now)
            assert known
        except UnknownCheckError:
            assert not known

    @rule(seconds=st.floats(0.0, 100.0))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        nothing_due = self.catalog.due > self.now
        due = self.catalog.expire(self.now)
        assert due > self.now
        if nothing_due:
            assert self._answers() == self.seen

    @invariant()
    def indexes_rise_with_each_visible_change_and_never_fall(self) -> None:
        answers = self._answers()
        for key, (index, visible) in answers.items():
            old_index, old_visible = self.seen[key]
            assert 1 <= old_index <= index <= self.catalog.index
            if visible != old_visible:
                assert index > old_index
        self.seen = answers

    @invariant()
    def every_check_is_in_one_place(self) -> None:
        checks = [check for entry in self.catalog.entries() for check in entry.checks]
        assert len({check.id for check in checks}) == len(checks)
        for check in checks:
            entry = self.catalog.entry(check.service_id)
            assert entry
            assert check in entry.checks
            assert check.service_name == entry.service.name

    @invariant()
    def names_and_ids_agree(self) -> None:
        by_name = {
            entry.service.id for name in self.catalog.names() for entry in self.catalog.instances(name)
        }
        assert by_name == {entry.service.id for entry in self.catalog.entries()}


TestCatalogMachine = CatalogMachine.TestCase
