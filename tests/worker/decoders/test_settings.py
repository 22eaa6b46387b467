import pytest

from tfleet.worker.decoders.limits import DecoderSettings


def test_settings_survive_a_round_trip() -> None:
    settings = DecoderSettings(socket=3, lifeline=4, address_space_bytes=1 << 30, nice=5)
    assert settings.arguments() == ["socket=3", "lifeline=4", "address_space_bytes=1073741824", "nice=5"]
    assert DecoderSettings.parse(settings.arguments()) == settings


@pytest.mark.parametrize("arguments", [[], ["--help"], ["socket=3"], ["socket=x"], ["nice=1", "a=1"]])
def test_anything_else_is_an_error(arguments: list[str]) -> None:
    with pytest.raises((ValueError, TypeError)):
        DecoderSettings.parse(arguments)
