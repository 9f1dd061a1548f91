"""What kind of file system a file is on, and which of them are shared between machines.

Locks and caches of such file systems do not keep machines apart: two of them that write one file
damage it. Opening there is allowed, recorded and warned of; processes of another machine are
refused where the locks show that the database is open (see `SharedState`).

Source: proc_pid_mountinfo(5).
"""

from __future__ import annotations

from typing import Final

NETWORK_TYPES: Final = frozenset(
    (
        "9p",
        "acfs",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "davfs",
        "drvfs",
        "fuse",
        "gfs2",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "prl_fs",
        "pvfs2",
        "smb3",
        "smbfs",
        "vboxsf",
        "virtiofs",
        "vmhgfs",
        "wekafs",
    )
)
LOCAL_FUSE_TYPES: Final = frozenset(("fuse.exfat", "fuse.ntfs", "fuse.ntfs-3g"))
FIRST_OPTIONAL_FIELD: Final = 6
MOUNT_POINT_FIELD: Final = 4


def covering_type(mounts: str, path: str) -> str:
    """Type of the file system that ``path`` is on; empty when it cannot be told.

    :param mounts: a process's ``mountinfo``; of two mounts on one point the later one counts.
    :param path: absolute, symbolic links followed.
    """
    longest = -1
    found = ""
    for line in mounts.split("\n"):
        fields = line.split(" ")
        if "-" not in fields[FIRST_OPTIONAL_FIELD:]:
            continue
        separator = fields.index("-", FIRST_OPTIONAL_FIELD)
        point = _unescaped(fields[MOUNT_POINT_FIELD])
        below = point if point.endswith("/") else f"{point}/"
        is_above = path == point or path.startswith(below)
        if is_above and len(point) >= longest and separator + 1 < len(fields):
            longest = len(point)
            found = fields[separator + 1]
    return found


def is_network(kind: str) -> bool:
    """Whether a file system of this type may be shared between machines."""
    if kind in LOCAL_FUSE_TYPES:
        return False
    return kind in NETWORK_TYPES or kind.startswith("fuse.")


def _unescaped(text: str) -> str:
    """Undo the octal escapes of space, tab, newline and backslash."""
    if "\\" not in text:
        return text
    for code, character in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        text = text.replace(f"\\{code}", character)
    return text
