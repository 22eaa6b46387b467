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
        own = [at for at, host in enumerate(hosts) if _is_own(host)]
        if len(own) != 1:
            which = "none" if not own else " and ".join(hosts[at] for at in own)
            raise CannotTrainError(f"--hosts: {which} of them is this machine: say which by --rank, from 0")
        (number,) = own
    if number >= len(hosts):
        raise CannotTrainError(f"--rank {number}: --hosts has {len(hosts)} machines, which count from 0")
    return MachinePlace(number, len(hosts), hosts[number], Address(hosts[0], port))


def free_port(host: str) -> int:
    """A port of this machine's address that nobody listens on. Raises CannotTrainError."""
    try:
        family = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0][0]
        with socket.create_server((host, 0), family=family) as server:
            return int(server.getsockname()[1])
    except OSError as error:
        raise CannotTrainError(
            f"{host}: this machine can't listen there: {error.strerror or error}"
        ) from error


def _is_own(host: str) -> bool:
    try:
        free_port(host)
    except CannotTrainError:
        return False
    return True
