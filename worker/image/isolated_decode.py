"""Decode costly images in the worker's decoder processes, and turn their failures into image errors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any, Final

import structlog

from tfleet.worker.decoders import (
    DecodeJob,
    DecoderDiedError,
    DecoderKilledError,
    DecoderPool,
    DecodeTimeoutError,
    PoolLimits,
)
from tfleet.worker.image.cost import Cost
from tfleet.worker.image.decode import out_of_memory_error
from tfleet.worker.image.errors import (
    BrokenImageError,
    ImageError,
    NoImageError,
    TooCostlyError,
    TooManyPixelsError,
    UnsupportedFormatError,
)
from tfleet.worker.image.preprocess import IsolatedDecode

# -P: a module of the same name in the working directory must not be imported instead.
COMMAND: Final = (sys.executable, "-P", "-m", "tfleet.worker.image.decoder_main")

_ERRORS: Final = {
    kind.__name__: kind
    for kind in (BrokenImageError, NoImageError, TooCostlyError, TooManyPixelsError, UnsupportedFormatError)
}


def isolated_decoder(
    pool: DecoderPool, arrived_s: float, deadline_s: float, gone: Callable[[], bool]
) -> IsolatedDecode:
    """A function that decodes for one request in `pool`, until its deadline or until `gone()` is true.

    `arrived_s` and `deadline_s` are seconds by `time.perf_counter`. The function raises subclasses of
    `ImageError` for faults of the image, and lets those errors of `DecoderPool.run` pass that concern the
    worker or the request.
    """

    def decode(
        name: str, arguments: Mapping[str, Any], picture: bytes, cost: Cost
    ) -> tuple[Mapping[str, Any], bytes]:
        format_name = arguments["header"]["format"]
        # Trying would keep a decoder busy for the whole limit and then end with the same answer.
        if cost.is_too_high(pool.limits.decode_timeout_s):
            raise _too_slow(format_name, pool.limits)
        try:
            outcome = pool.run(
                DecodeJob(name, arguments, picture, cost.memory_bytes, cost.cpu_s),
                arrived_s=arrived_s,
                deadline_s=deadline_s,
                gone=gone,
            )
        except DecodeTimeoutError as error:
            raise _too_slow(format_name, pool.limits) from error
        except DecoderKilledError as error:
            # SIGKILL during a job most likely came from the kernel, for lack of memory.
            raise out_of_memory_error(format_name) from error
        except DecoderDiedError as error:
            # Most likely this image crashed the library: the client should not send it to other workers.
            raise BrokenImageError(f"this {format_name} image can't be decoded: {error}") from error
        if "error" in outcome.header:
            raise _image_error(format_name, outcome.header)
        return outcome.header, outcome.body

    return decode


def _too_slow(format_name: str, limits: PoolLimits) -> TooCostlyError:
    return TooCostlyError(
        f"decoding this {format_name} image takes more than {limits.decode_timeout_s:g} s, the limit of "
        "--decode-timeout: send a smaller one, or save it again"
    )


def _image_error(format_name: str, answer: Mapping[str, Any]) -> ImageError:
    name, message = str(answer["error"]), str(answer.get("message", ""))
    if name == MemoryError.__name__:
        return out_of_memory_error(format_name)
    if name in _ERRORS:
        return _ERRORS[name](message)
    log: Any = structlog.get_logger()
    log.warning("a decoder failed", format=format_name, error=f"{name}: {message}"[:200])
    return BrokenImageError(f"the {format_name} image is damaged ({name}): send the whole, intact file")
