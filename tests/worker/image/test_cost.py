"""What decoding will take is told from the header, and on the high side."""

import pytest

from tfleet.worker.image.cost import estimate_cost
from tfleet.worker.image.headers.header import DecodeWork, Header


def test_a_jpeg_at_a_fraction_costs_a_fraction_of_the_memory() -> None:
    header = Header("JPEG", 4000, 3000, bytes(4_000_000), work=DecodeWork(1.5))
    assert estimate_cost(header, 4).memory_bytes == estimate_cost(header).memory_bytes / 16
    assert not estimate_cost(header, 4).isolated


def test_each_scan_costs() -> None:
    few, many = (
        estimate_cost(Header("JPEG", 2000, 2000, bytes(100_000), work=DecodeWork(1.5, passes, True)), 8)
        for passes in (10, 100)
    )
    assert many.cpu_s > 5 * few.cpu_s
    assert many.isolated


@pytest.mark.parametrize("format_name", ["AVIF", "HEIC"])
def test_some_formats_are_always_decoded_in_a_process(format_name: str) -> None:
    assert estimate_cost(Header(format_name, 1, 1, b"")).isolated


@pytest.mark.parametrize("format_name", ["JPEG", "PNG", "GIF", "BMP", "WEBP"])
def test_a_picture_of_the_models_size_is_cheap(format_name: str) -> None:
    assert not estimate_cost(Header(format_name, 500, 500, bytes(100_000), work=DecodeWork(4))).isolated


@pytest.mark.parametrize("format_name", ["PNG", "GIF", "BMP", "WEBP"])
def test_a_picture_near_the_limit_is_costly(format_name: str) -> None:
    assert estimate_cost(Header(format_name, 8000, 8000, bytes(1000))).isolated
