"""Detection of network file systems. SQLite's write-ahead log needs shared memory, which they do not provide: two
machines that write one record over NFS or SMB can damage it."""

from __future__ import annotations

import os
import re
from pathlib import Path

MOUNTS_FILE = Path("/proc/self/mounts")
"""Mount table of Linux; other systems have none, so the type stays unknown there."""

# fmt: off
_NETWORK = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "smbfs", "smb", "9p", "afs", "ceph", "glusterfs", "lustre", "beegfs", "ncpfs",
     "coda", "davfs", "virtiofs", "prl_fs", "vboxsf", "vmhgfs", "orangefs", "ocfs2", "gfs2", "gpfs"}
)
# fmt: on
"""Some types (virtiofs, vboxsf ...) are folders of a host in a virtual machine; locks there do not reach the host."""
_FUSE = re.compile("sshfs|s3fs|gcsfuse|rclone|davfs|glusterfs|goofys|mergerfs|gvfs|smb|nfs|ceph|blobfuse|juicefs")
_OCTAL = re.compile(r"\\([0-7]{3})")


def file_system_type(path: Path, mounts: Path | None = None) -> str | None:
    """Return the type of the file system that holds `path` ("ext4", "nfs4", "fuse.sshfs"); None if it is unknown."""
    try:
        table = (mounts or MOUNTS_FILE).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    real = os.path.realpath(path)
    best, kind = "", None
    for line in table.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = _OCTAL.sub(lambda match: chr(int(match[1], 8)), fields[1])
        inside = real == point or real.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):  # of equal mount points the last one hides the others
            best, kind = point, fields[2]
    return kind


def network_file_system_type(path: Path, mounts: Path | None = None) -> str | None:
    """Return the type of the network file system that holds `path`; None for a local or unknown one."""
    kind = file_system_type(path, mounts)
    if kind is None:
        return None
    remote = kind in _NETWORK or (kind.startswith("fuse") and _FUSE.search(kind) is not None)
    return kind if remote else None
