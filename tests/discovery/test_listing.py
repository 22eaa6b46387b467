import pytest

from tfleet.discovery.address import Address
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import Listing, Status, listings, worst


def entry(worker_id: str, *statuses: object) -> dict[str, object]:
    return {
        "Node": {"Node": "n", "Address": "10.0.0.7"},
        "Service": {"ID": worker_id, "Address": "h", "Port": 1, "Meta": {"model": "m", "version": "1"}},
        "Checks": [{"Status": status} for status in statuses],
    }


def test_entries_are_read_in_the_order_of_their_ids() -> None:
    assert listings([entry("w2", "passing", "critical"), entry("w1", "passing")]) == (
        Listing(Instance("w1", Address("h", 1), "m", "1"), "n", Status.PASSING),
        Listing(Instance("w2", Address("h", 1), "m", "1"), "n", Status.CRITICAL),
    )


def test_what_has_no_address_or_no_node_is_left_out() -> None:
    lost = {"Service": {"ID": "w", "Address": "h", "Port": 1}}
    assert listings([{}, 7, lost, entry("w1")]) == listings([entry("w1")])


@pytest.mark.parametrize("answer", [None, {}, "x"])
def test_what_is_no_list_is_refused(answer: object) -> None:
    with pytest.raises(TypeError, match="expected a list"):
        listings(answer)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        ([], Status.PASSING),
        (["passing", "passing"], Status.PASSING),
        (["passing", "warning"], Status.WARNING),
        (["critical", "warning", "passing"], Status.CRITICAL),
        (["passing", "on fire"], Status.CRITICAL),
        ([None], Status.CRITICAL),
    ],
)
def test_the_worst_check_counts(statuses: list[object], expected: Status) -> None:
    assert worst(statuses) is expected
