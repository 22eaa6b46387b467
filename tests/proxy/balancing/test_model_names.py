import pytest
from structlog.testing import capture_logs

from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance
from tfleet.discovery.listing import ServiceList
from tfleet.discovery.maintenance import Maintained
from tfleet.proxy.balancing.model_names import ModelNames


def roll(*labels: str) -> ServiceList:
    """A worker for each `name/version`."""
    found = enumerate(label.split("/") for label in labels)
    return ServiceList(
        tuple(Instance(f"w{n}", Address("h", n + 1), name, version) for n, (name, version) in found)
    )


CASES: dict[str, tuple[list[ServiceList], list[list[str]]]] = {
    "one model": ([roll("cats/1"), roll("cats/1", "cats/1")], []),
    "two versions": ([roll("cats/1", "cats/2")], []),
    "nobody says a model": ([roll("/", "/")], []),
    "one says no model": ([roll("/", "cats/1")], []),
    "two models": ([roll("dogs/1", "cats/1")], [["cats", "dogs"]]),
    "the same two again": ([roll("a/1", "b/1"), roll("b/2", "a/1", "a/1")], [["a", "b"]]),
    "a third one": ([roll("a/1", "b/1"), roll("a/1", "b/1", "c/1")], [["a", "b"], ["a", "b", "c"]]),
    "an empty list in between": ([roll("a/1", "b/1"), roll(), roll("a/1", "b/1")], [["a", "b"]]),
    "one model in between": ([roll("a/1", "b/1"), roll("a/1"), roll("a/1", "b/1")], [["a", "b"], ["a", "b"]]),
    "one in maintenance": (
        [ServiceList(roll("a/1").passing, (Maintained(roll("b/1").passing[0], "maintenance"),))],
        [["a", "b"]],
    ),
}


@pytest.mark.parametrize(("rolls", "told"), CASES.values(), ids=CASES.keys())
def test_several_models_are_logged_once(rolls: list[ServiceList], told: list[list[str]]) -> None:
    with capture_logs() as lines:
        names = ModelNames("tfleet")
        for each in rolls:
            names.update(each)
    assert [line["models"] for line in lines] == told
    assert all("--service" in line["hint"] and line["log_level"] == "warning" for line in lines)
