import pytest

from tfleet.worker.decoders import PoolLimits
from tfleet.worker.decoders.limits import DecoderSettings


@pytest.mark.parametrize(
    ("cpus", "processes", "max_waiting"), [(1, 1, 2), (2, 1, 2), (3, 1, 2), (4, 2, 4), (8, 4, 8), (64, 4, 8)]
)
def test_half_of_the_cpus_may_decode(cpus: int, processes: int, max_waiting: int) -> None:
    limits = PoolLimits.for_cpus(cpus)
    assert (limits.processes, limits.max_waiting) == (processes, max_waiting)


def test_settings_survive_a_round_trip() -> None:
    settings = DecoderSettings(socket=3, lifeline=4, address_space_bytes=1 << 30, nice=5)
    assert settings.arguments() == ["socket=3", "lifeline=4", "address_space_bytes=1073741824", "nice=5"]
    assert DecoderSettings.parse(settings.arguments()) == settings


@pytest.mark.parametrize("arguments", [[], ["--help"], ["socket=3"], ["socket=x"], ["nice=1", "a=1"]])
def test_invalid_settings_are_an_error(arguments: list[str]) -> None:
    with pytest.raises((ValueError, TypeError)):
        DecoderSettings.parse(arguments)
