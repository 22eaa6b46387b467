import pytest
import requests
from consul.exceptions import ACLPermissionDenied, BadRequest, ClientError, ConsulException

from tfleet.discovery.consul.client import asked
from tfleet.discovery.consul.error_messages import denied
from tfleet.discovery.errors import RegistryRefusedError, RegistryUnavailableError


def test_a_calls_result_is_returned() -> None:
    assert asked("the registry", lambda: 5, needed="nothing") == 5


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ACLPermissionDenied("no"), RegistryRefusedError(f"the registry refuses: {denied('no', 'luck')}")),
        (BadRequest("400"), RegistryRefusedError("the registry refuses: 400")),
        (ClientError("429"), RegistryRefusedError("the registry refuses: 429")),
        (ConsulException("500"), RegistryUnavailableError("the registry failed: 500")),
        (requests.Timeout("slow"), RegistryUnavailableError("the registry does not answer: slow")),
        (KeyError("ID"), RegistryUnavailableError("the registry does not answer as Consul does: 'ID'")),
        (TypeError("x"), RegistryUnavailableError("the registry does not answer as Consul does: x")),
        (ValueError("x"), RegistryUnavailableError("the registry does not answer as Consul does: x")),
    ],
)
def test_an_error_says_what_to_do(error: Exception, told: Exception) -> None:
    def fail() -> None:
        raise error

    with pytest.raises(type(told)) as raised:
        asked("the registry", fail, needed="luck")
    assert str(raised.value) == str(told)
    assert raised.value.__cause__ is error
