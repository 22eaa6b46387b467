"""How a request says which worker it is for: bytes that are made once for each worker, not for each try.

An address that the proxy knows may belong to another worker by now. That one refuses what names somebody
else, before it reads the image.
"""

from __future__ import annotations

from tfleet.contract.names import WORKER
from tfleet.discovery.instance import Instance


def addressee(instance: Instance) -> bytes:
    """The lines Host and X-Worker, without the end of the last one.

    In a static list nobody has a name but its address, which is none that a worker knows itself by; and what
    could be anything but one header is no name either.
    """
    host, name = f"Host: {instance.address}", instance.id
    if name == str(instance.address) or not (name.isascii() and name.isprintable() and name == name.strip()):
        return host.encode()
    return f"{host}\r\n{WORKER}: {name}".encode()
