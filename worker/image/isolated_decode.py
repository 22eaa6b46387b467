"""Costly pictures, decoded by the worker's decoder processes: what goes there, and what its answers mean."""

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
from tfleet.worker.image.cost import HOPELESS, Cost
from tfleet.worker.image.decode import out_of_memory
from tfleet.worker.image.errors import (
    BrokenImageError,
    ImageError,
    NoImageError,
    TooCostlyError,
    TooManyPixelsError,
    UnsupportedFormatError,
)
from tfleet.worker.image.preprocess import Apart

# -P: a module of the same name in the working directory must not be found first.
COMMAND: Final = (sys.executable, "-P", "-m", "tfleet.worker.image.decoder_main")

_ERRORS: Final = {
    kind.__name__: kind
    for kind in (BrokenImageError, NoImageError, TooCostlyError, TooManyPixelsError, UnsupportedFormatError)
}


def decoded_by(pool: DecoderPool, arrived_s: float, deadline_s: float, gone: Callable[[], bool]) -> Apart:
    """The way to the decoders for one request, until its deadline or its client leaves.

    When it came and its deadline are by `time.perf_counter`.

    Besides subclasses of `ImageError` it raises what `DecoderPool.run` raises of the worker and the request.
    """

    def apart(
        name: str, arguments: Mapping[str, Any], picture: bytes, cost: Cost
    ) -> tuple[Mapping[str, Any], bytes]:
        format_name = arguments["header"]["format"]
        if cost.cpu_s > HOPELESS * pool.limits.decode_timeout_s:
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
            raise out_of_memory(format_name) from error
        except DecoderDiedError as error:
            raise BrokenImageError(f"this {format_name} image can't be decoded: {error}") from error
        if "error" in outcome.header:
            raise _image_error(format_name, outcome.header)
        return outcome.header, outcome.body

    return apart


def _too_slow(format_name: str, limits: PoolLimits) -> TooCostlyError:
    return TooCostlyError(
        f"decoding this {format_name} image takes more than {limits.decode_timeout_s:g} s, the limit of "
        "--decode-timeout: send a smaller one, or save it anew"
    )


def _image_error(format_name: str, said: Mapping[str, Any]) -> ImageError:
    name, message = str(said["error"]), str(said.get("message", ""))
    if name == MemoryError.__name__:
        return out_of_memory(format_name)
    if name in _ERRORS:
        return _ERRORS[name](message)
    log: Any = structlog.get_logger()
    log.warning("a decoder failed", format=format_name, error=f"{name}: {message}"[:200])
    return BrokenImageError(f"the {format_name} image is damaged ({name}): send the whole, intact file")
