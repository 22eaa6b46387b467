import pytest

from tfleet.contract.address import Address
from tfleet.discovery.consul.health_json import parse_service_list
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList
from tfleet.discovery.maintenance import DEFAULT_REASON, Maintained, maintenance_reason

W1 = Instance("w1", Address("h", 1))


def check(check_id: object, notes: object = "", status: str = "critical") -> dict[str, object]:
    return {"CheckID": check_id, "Notes": notes, "Status": status}


WELL = check("service:w1", status="passing")


@pytest.mark.parametrize(
    ("checks", "said"),
    [
        ([WELL, check("_service_maintenance:w1", "new disk")], "maintenance: new disk"),
        ([WELL, check("_node_maintenance", "a\nb")], r"maintenance: a\nb"),
        ([check("_node_maintenance", DEFAULT_REASON.format("node"))], "maintenance"),
        ([check("_service_maintenance:w1", DEFAULT_REASON.format("service"))], "maintenance"),
        ([check("_service_maintenance:w1")], "maintenance"),
        ([check("_service_maintenance:w1", 7)], "maintenance"),
        ([check("_service_maintenance:w2", "x")], ""),
        ([check("_service_maintenance:w1", "x", "passing")], ""),
        ([check("service:w1", "_node_maintenance")], ""),
        ([check(["_node_maintenance"]), None, 7], ""),
        ([WELL], ""),
    ],
)
def test_maintenance_and_its_reason_are_read_from_checks(checks: list[object], said: str) -> None:
    assert maintenance_reason(checks, "w1") == said


def test_a_long_reason_is_cut() -> None:
    assert len(maintenance_reason([check("_node_maintenance", "x" * 5000)], "w1")) < 250


def test_maintenance_is_read_for_each_entry() -> None:
    def entry(worker_id: str, *checks: dict[str, object]) -> dict[str, object]:
        service = {"ID": worker_id, "Address": "h", "Port": 1}
        return {"Node": {}, "Service": service, "Checks": checks}

    roll = parse_service_list(
        [
            entry("w3", check("service:w3")),
            entry("w2", check("service:w2"), check("_node_maintenance", "x")),
            entry("a b"),
            entry("w1", WELL),
        ]
    )
    (rejected,) = roll.rejected
    kept = Maintained(Instance("w2", Address("h", 1)), "maintenance: x")
    assert roll == ServiceList((W1,), (kept,), ("w3",), (rejected,))
    assert rejected.id == "a b"
