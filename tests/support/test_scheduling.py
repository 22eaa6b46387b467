import pytest

from tests.support.scheduling import group, rank

READMES = "tests/test_readme.py::test_the_readmes_first_commands_work"
FORWARD = "tests/fleet/test_forward.py::test_status_shows_the_workers"
CAT = "tests/fleet/test_p2p.py::test_the_documented_curl_works_verbatim"
NONSENSE = "tests/fleet/test_registry_faults.py::test_a_fleet_serves_while_the_registry_answers_garbage"
CONSUL = "tests/fleet/test_registry_faults.py::test_a_fleet_serves_while_consul_is_stopped"
CLIENTS = "tests/fleet/test_inference_clients.py"
PARTITION = "tests/fleet/test_registration.py::test_a_long_partition_removes_only_dead_workers"


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        (READMES, f"{FORWARD}[embedded]", True),
        (READMES, f"{CAT}[embedded-cat]", True),
        (READMES, f"{FORWARD}[consul]", False),
        (f"{FORWARD}[consul]", f"{CAT}[consul-cat]", False),
        (f"{CAT}[consul-hopper]", f"{CAT}[consul-cat]", True),
        (f"{NONSENSE}[hangs]", f"{NONSENSE}[lists_nobody-tfleet_registry_answers_total]", True),
        (f"{NONSENSE}[hangs]", CONSUL, False),
        (PARTITION, CONSUL, False),
        ("tests/fleet/test_watched_models.py::test_a", "tests/fleet/test_watched_models.py::test_b", True),
        (f"{CLIENTS}::test_a", f"{CLIENTS}::test_b", True),
        ("tests/compose/test_changes.py::test_a", "tests/compose/deeper/test_images.py::test_b[x]", True),
    ],
)
def test_tests_that_share_a_fleet_or_ports_run_in_sequence(one: str, other: str, together: bool) -> None:
    assert (group(one) == group(other)) is together


def test_the_longest_tests_begin_first() -> None:
    waiting = [CONSUL, READMES, PARTITION, "tests/compose/test_changes.py::test_a"]
    assert sorted(waiting, key=lambda test: rank(group(test))) == waiting[::-1]
