import pytest

from tfleet.contract.address import Address
from tfleet.discovery.consul.health_json import parse_listings, worst_status
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, ListingStatus


def entry(worker_id: str, *statuses: object) -> dict[str, object]:
    return {
        "Node": {"Node": "n", "Address": "10.0.0.7"},
        "Service": {"ID": worker_id, "Address": "h", "Port": 1, "Meta": {"model": "m", "version": "1"}},
        "Checks": [{"Status": status} for status in statuses],
    }


def test_entries_are_read_in_the_order_of_their_ids() -> None:
    assert parse_listings([entry("w2", "passing", "critical"), entry("w1", "passing")]) == (
        Listing(Instance("w1", Address("h", 1), "m", "1"), "n", ListingStatus.PASSING),
        Listing(Instance("w2", Address("h", 1), "m", "1"), "n", ListingStatus.CRITICAL),
    )


def test_entries_without_address_or_node_are_left_out() -> None:
    lost = {"Service": {"ID": "w", "Address": "h", "Port": 1}}
    assert parse_listings([{}, 7, lost, entry("w1")]) == parse_listings([entry("w1")])


@pytest.mark.parametrize("answer", [None, {}, "x"])
def test_an_answer_that_is_no_list_is_refused(answer: object) -> None:
    with pytest.raises(TypeError, match="expected a list"):
        parse_listings(answer)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], ListingStatus.PASSING),
        (["passing", "passing"], ListingStatus.PASSING),
        (["passing", "warning"], ListingStatus.WARNING),
        (["critical", "warning", "passing"], ListingStatus.CRITICAL),
        (["passing", "on fire"], ListingStatus.CRITICAL),
        ([None], ListingStatus.CRITICAL),
    ],
)
def test_the_worst_check_counts(statuses: list[object], expected: ListingStatus) -> None:
    assert worst_status(statuses) is expected


def test_refused_entries_come_only_on_request() -> None:
    entries = [entry("w1", "passing"), entry("w\n2", "critical")]
    assert [one.instance.id for one in parse_listings(entries)] == ["w1"]
    bad, good = parse_listings(entries, include_rejected=True)
    assert (good.instance.id, good.rejected) == ("w1", "")
    assert (bad.instance.id, bad.status) == ("w\n2", ListingStatus.CRITICAL)
    assert bad.rejected == r"its id is not a valid token: 'w\n2'"


def test_maintenance_does_not_make_an_entry_critical() -> None:
    checks = [
        {"CheckID": "_node_maintenance", "Status": "critical"},
        {"CheckID": "_service_maintenance:w1", "Status": "critical"},
        {"CheckID": "service:w1", "Status": "passing"},
    ]
    (one,) = parse_listings([{**entry("w1"), "Checks": checks}])
    assert one.status is ListingStatus.PASSING
