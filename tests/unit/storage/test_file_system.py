"""The kind of file system a path is on."""

from __future__ import annotations

import os

import pytest

from cbdd.storage.file_system import covering_type, is_network
from cbdd.storage.io import UNKNOWN_MACHINE, Io

MOUNTS = r"""22 27 0:21 / /proc rw,nosuid - proc proc rw
27 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
90 27 0:44 / /home rw,relatime shared:50 master:7 - nfs4 server:/home rw,vers=4.2
91 90 8:2 / /home/me/local rw - xfs /dev/sdb1 rw
92 27 0:45 / /mnt/my\040share rw - cifs //server/share rw
93 27 0:46 / /mnt/twice rw - ext4 /dev/sdc1 rw
94 93 0:47 / /mnt/twice rw - fuse.sshfs user@host: rw
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/a.cbdd", "ext4"),
        ("/var/lib/a.cbdd", "ext4"),
        ("/home/me/a.cbdd", "nfs4"),
        ("/homeless/a.cbdd", "ext4"),
        ("/home/me/local/a.cbdd", "xfs"),
        ("/mnt/my share/a.cbdd", "cifs"),
        ("/mnt/twice/a.cbdd", "fuse.sshfs"),
    ],
)
def test_the_longest_mount_point_that_covers_a_path_counts(path: str, kind: str) -> None:
    assert covering_type(MOUNTS, path) == kind


@pytest.mark.parametrize("mounts", ["", "\n", "nonsense", "1 2 3 / / rw - ", "a - b c d e f g h -"])
def test_a_table_that_says_nothing_gives_no_type(mounts: str) -> None:
    assert covering_type(mounts, "/a.cbdd") == ""


def test_which_types_are_shared_between_machines() -> None:
    assert all(map(is_network, ["nfs", "nfs4", "cifs", "smb3", "9p", "fuse.sshfs", "virtiofs"]))
    assert not any(map(is_network, ["", "ext4", "xfs", "tmpfs", "overlay", "fuse.ntfs-3g"]))


@pytest.mark.skipif(not os.path.exists("/proc/self/mountinfo"), reason="no table of mounts here")
def test_this_machine() -> None:
    io = Io()
    assert io.file_system_type("/proc/self") == "proc"
    assert len(io.machine_identity()) == len(UNKNOWN_MACHINE)
    assert io.machine_identity() == Io().machine_identity()
