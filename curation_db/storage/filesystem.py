"""Which kind of file system a path lies on. SQLite's log needs shared memory, which no network file system has:
two machines that write one record over NFS or SMB can damage it, whatever either of them does right."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS_FILE = Path("/proc/self/mounts")
"""Where Linux tells; elsewhere nothing is known."""

# fmt: off
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "smb", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "ncpfs",
     "coda", "davfs", "virtiofs", "prl_fs", "vboxsf", "vmhgfs", "orangefs", "ocfs2", "gfs2", "gpfs"}
)
# fmt: on
"""Some of these (virtiofs, vboxsf ...) are a host's folders in a guest: their locks do not reach the host."""
_FUSE = re.compile("sshfs|s3fs|gcsfuse|rclone|davfs|glusterfs|goofys|mergerfs|gvfs|smb|nfs|ceph|blobfuse|juicefs")
_OCTAL = re.compile(r"\\([0-7]{3})")


def file_system_type(path: Path, mounts: Path | None = None) -> str | None:
    """The type of the file system that holds `path` ("ext4", "nfs4", "fuse.sshfs"); None: it cannot be told."""
    try:
        told = (mounts or MOUNTS_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    whole = os.path.realpath(path)
    best, kind = "", None
    for line in told.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _OCTAL.sub(lambda found: chr(int(found[1], 8)), fields[1])
        inside = whole == point or whole.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # the last of equals: it lies over the ones before it
            best, kind = point, fields[2]
    return kind


def network_file_system_type(path: Path, mounts: Path | None = None) -> str | None:
    """The type of the network file system that holds `path`; None: it is a local one, or cannot be told."""
    kind = file_system_type(path, mounts)
    if kind is None:
        return None
    remote = kind in _NETWORK or (kind.startswith("fuse") and _FUSE.search(kind) is not None)
    return kind if remote else None
