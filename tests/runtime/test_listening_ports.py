from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tfleet.runtime.listening_ports import listening_ports, ports_by_inode

LISTENS = """
import socket, sys
with socket.create_server(("{host}", 0), family=socket.{family}) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""
TABLE = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 4711 1 0
   1: 0100007F:C350 0100007F:1F90 01 00000000:00000000 00:00000000 00000000  1000        0 4712 1 0
   2: cut off
"""


def test_only_listening_sockets_count() -> None:
    assert ports_by_inode(TABLE) == {"4711": 8080}


@pytest.mark.process
@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", "AF_INET"), ("::1", "AF_INET6")])
def test_the_port_of_another_process_is_found(host: str, family: str) -> None:
    code = LISTENS.format(host=host, family=family)
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with socket.create_connection((host, port)):
            assert listening_ports(process.pid) == {port}
            assert port not in listening_ports(os.getpid()), "though it has a connection to it"
        process.kill()


def test_a_process_that_has_ended_listens_nowhere(tmp_path: Path) -> None:
    assert listening_ports(1, tmp_path) == frozenset()
