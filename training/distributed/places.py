"""Which machine this is of those of a run, and where its first one listens."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from tfleet.contract.address import Address, is_host
from tfleet.training.distributed.errors import CannotTrainError


@dataclass(frozen=True, slots=True)
class MachinePlace:
    """Machine `number` of `machines`, from 0. `host` is its own address; the first process of machine 0
    listens at `coordinator`.
    """

    number: int
    machines: int
    host: str
    coordinator: Address

    def ranks(self, processes: int) -> range:
        """The ranks of this machine's processes, where each has as many."""
        return range(self.number * processes, (self.number + 1) * processes)


def alone() -> MachinePlace:
    """The only machine."""
    return MachinePlace(0, 1, "127.0.0.1", Address("127.0.0.1", free_port("127.0.0.1")))


def listed(hosts: tuple[str, ...], number: int | None, port: int) -> MachinePlace:
    """The place of this machine in a list that is the same on all. Raises CannotTrainError."""
    for host in hosts:
        if not is_host(host):
            raise CannotTrainError(f"--hosts: {host!r} is neither a name nor an address of a machine")
    if len(set(hosts)) < len(hosts):
        raise CannotTrainError(
            "--hosts: each machine has to be there once: --processes starts several on one"
        )
    if number is None:
        own = [at for at, host in enumerate(hosts) if _is_free(host, 0)]
        if len(own) != 1:
            which = "none" if not own else " and ".join(hosts[at] for at in own)
            raise CannotTrainError(f"--hosts: {which} of them is this machine: say which by --rank, from 0")
        (number,) = own
    if number >= len(hosts):
        raise CannotTrainError(f"--rank {number}: --hosts has {len(hosts)} machines, which count from 0")
    if number == 0 and not _is_free(hosts[0], port):
        raise CannotTrainError(
            f"this machine can't listen on {Address(hosts[0], port)}: give another --port, on all machines"
        )
    return MachinePlace(number, len(hosts), hosts[number], Address(hosts[0], port))


def free_port(host: str) -> int:
    """A port of this machine's address that nobody listens on. Raises CannotTrainError."""
    try:
        return _listened(host, 0)
    except OSError as error:
        raise CannotTrainError(
            f"{host}: this machine can't listen there: {error.strerror or error}"
        ) from error


def _is_free(host: str, port: int) -> bool:
    """Whether this machine can listen there; with port 0, whether the address is one of this machine's."""
    try:
        _listened(host, port)
    except OSError:
        return False
    return True


def _listened(host: str, port: int) -> int:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    with socket.create_server((host, port), family=family) as server:
        return int(server.getsockname()[1])
