"""What decoding will take is told from the header, and on the high side."""

import pytest

from tfleet.worker.image.cost import cost_of
from tfleet.worker.image.headers.header import Header


def test_a_jpeg_at_a_fraction_costs_a_fraction_of_the_memory() -> None:
    header = Header("JPEG", 4000, 3000, bytes(4_000_000), values=1.5)
    assert cost_of(header, 4).memory_bytes == cost_of(header).memory_bytes / 16
    assert not cost_of(header, 4).apart


def test_each_scan_costs() -> None:
    few, many = (
        cost_of(Header("JPEG", 2000, 2000, bytes(100_000), values=1.5, passes=passes, kept=True), 8)
        for passes in (10, 100)
    )
    assert many.cpu_s > 5 * few.cpu_s
    assert many.apart


@pytest.mark.parametrize("format_name", ["AVIF", "HEIC"])
def test_some_formats_are_always_decoded_apart(format_name: str) -> None:
    assert cost_of(Header(format_name, 1, 1, b"")).apart


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_a_picture_of_the_models_size_is_cheap(format_name: str) -> None:
    assert not cost_of(Header(format_name, 500, 500, bytes(100_000), values=4)).apart


@pytest.mark.parametrize("format_name", ["PNG", "GIF", "BMP", "WEBP"])
def test_a_picture_near_the_limit_is_costly(format_name: str) -> None:
    assert cost_of(Header(format_name, 8000, 8000, bytes(1000))).apart
