import socket

import pytest

from tfleet.worker.address.container_id import own_container_ids, possible_ids

ID, OTHER = "3f" * 32, "a0" * 32
OVERLAY = (
    f"473 387 0:143 / / rw - overlay overlay rw,upperdir=/var/lib/docker/overlay2/{OTHER}/diff,workdir=/w\n"
)
MOUNTED = (
    f"700 473 254:1 /var/lib/docker/containers/{ID}/resolv.conf /etc/resolv.conf rw - ext4 /dev/vda1 rw\n"
    f"701 473 254:1 /var/lib/docker/containers/{ID}/hostname /etc/hostname rw - ext4 /dev/vda1 rw\n"
)
PODMAN = (
    f"701 473 0:25 /containers/overlay-containers/{ID}/userdata/hostname /etc/hostname rw - tmpfs tmpfs rw\n"
)
OWN_DISK = f"9 4 8:1 /docker/containers/{ID}/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n"


@pytest.mark.parametrize(
    ("mountinfo", "cgroup", "expected"),
    [
        (OVERLAY + MOUNTED, "0::/\n", (ID, "host")),
        (PODMAN, "0::/\n", (ID, "host")),
        (OWN_DISK, "", (ID, "host")),
        (OVERLAY, f"12:cpu:/docker/{ID}\n1:name=systemd:/docker/{ID}\n0::/system.slice\n", (ID, "host")),
        (OVERLAY, f"0::/system.slice/docker-{ID}.scope\n", (ID, "host")),
        (MOUNTED, f"1:cpu:/docker/{OTHER}\n", (ID, OTHER, "host")),
        (OVERLAY, "0::/\n", ("host",)),
        ("", "", ("host",)),
    ],
)
def test_the_id_is_read_from_files_cgroups_then_hostname(
    mountinfo: str, cgroup: str, expected: tuple[str, ...]
) -> None:
    assert possible_ids(mountinfo, cgroup, "host") == expected


def test_the_hostname_is_the_last_container_id_tried() -> None:
    assert own_container_ids()[-1] == socket.gethostname()
