from tfleet.contract.address import Address
from tfleet.discovery.instance import Instance, new_id


def test_ids_name_the_service_and_differ_at_each_start() -> None:
    first, second = (new_id("tfleet", Address("::1", 80)) for _ in range(2))
    assert first.startswith("tfleet---1-80-")
    assert first != second


def test_the_model_label_is_name_and_version() -> None:
    assert Instance("w", Address("h", 1), "lite0", "2").model_label == "lite0/2"
