"""A decoder program of the tests: what is run as a process by the pools that they make."""

import os
import resource
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tfleet.worker.decoders.child import Answer, serve
from tfleet.worker.decoders.limits import DecoderSettings

COMMAND = (sys.executable, str(Path(__file__)))


class KnownError(Exception):
    """What the functions are known to raise."""


class SpecialError(KnownError):
    """One of its kinds."""


def echo(arguments: Mapping[str, Any], body: bytes) -> Answer:
    return {"pid": os.getpid(), "length": len(body)}, body * arguments.get("times", 1)


def sleep(arguments: Mapping[str, Any], body: bytes) -> Answer:
    Path(arguments["started"]).write_text(str(os.getpid()))
    time.sleep(60)
    return {}, b""


def burn(arguments: Mapping[str, Any], body: bytes) -> Answer:
    """Computes, and keeps the interpreter's lock: no other thread of the process runs meanwhile."""
    Path(arguments["started"]).write_text(str(os.getpid()))
    sum(range(10**12))
    return {}, b""


def spend(arguments: Mapping[str, Any], body: bytes) -> Answer:
    """So much CPU time."""
    end_s = time.process_time() + arguments["cpu_s"]
    while time.process_time() < end_s:
        pass
    return {"pid": os.getpid()}, b""


def allocate(arguments: Mapping[str, Any], body: bytes) -> Answer:
    return {"length": len(bytearray(arguments["bytes"]))}, b""


def leave(arguments: Mapping[str, Any], body: bytes) -> Answer:
    print("these are", "my last words", sep="\n", file=sys.stderr, flush=True)
    os._exit(arguments["code"])


def kill(arguments: Mapping[str, Any], body: bytes) -> Answer:
    os.kill(os.getpid(), arguments["signal"])
    return {}, b""


def fail(arguments: Mapping[str, Any], body: bytes) -> Answer:
    raise {"SpecialError": SpecialError, "ValueError": ValueError}[arguments["error"]](arguments["message"])


def write(arguments: Mapping[str, Any], body: bytes) -> Answer:
    """Says something that is no answer: `body` as it is."""
    os.write(DecoderSettings.parse(sys.argv[1:]).socket, body)
    time.sleep(60)
    return {}, b""


def chatter(arguments: Mapping[str, Any], body: bytes) -> Answer:
    sys.stderr.write("x" * arguments["chars"])
    sys.stderr.flush()
    return {}, b""


def facts(arguments: Mapping[str, Any], body: bytes) -> Answer:
    """What the process may and should know of itself."""
    return {
        "pid": os.getpid(),
        "nice": os.nice(0),
        "oom_score_adj": int(Path("/proc/self/oom_score_adj").read_text()),
        "address_space_bytes": resource.getrlimit(resource.RLIMIT_AS)[0],
        "core_bytes": resource.getrlimit(resource.RLIMIT_CORE)[0],
        "environment": dict(os.environ),
        "descriptors": len(list(Path("/proc/self/fd").iterdir())) - 1,  # without the one that lists them
        "session": os.getsid(0),
        "group": os.getpgid(0),
    }, b""


if __name__ == "__main__":
    functions = (echo, sleep, burn, spend, allocate, leave, kill, fail, write, chatter, facts)
    serve({function.__name__: function for function in functions}, expected=(KnownError,))
