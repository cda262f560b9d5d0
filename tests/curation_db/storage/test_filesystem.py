"""The type of a path's file system, from the mount table of Linux."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation_db.storage.filesystem import file_system_type, network_file_system_type

TABLE = r"""
/dev/sda1 / ext4 rw 0 0
proc /proc proc rw 0 0
server:/home /home nfs4 rw 0 0
/dev/sdb1 /home/local ext4 rw 0 0
ana@host: /mnt/my\040disk fuse.sshfs rw 0 0
/dev/sdc1 /mnt/ntfs fuseblk rw 0 0
first /mnt/twice ext4 rw 0 0
//server/share /mnt/twice cifs rw 0 0
broken line
"""


@pytest.fixture
def table(tmp_path: Path) -> Path:
    file = tmp_path / "mounts"
    file.write_text(TABLE)
    return file


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [
        ("/data/ws/curation.db", "ext4", False),
        ("/home/ana/ws/curation.db", "nfs4", True),
        ("/home/local/ws/curation.db", "ext4", False),
        ("/homely/curation.db", "ext4", False),
        ("/mnt/my disk/curation.db", "fuse.sshfs", True),
        ("/mnt/ntfs/curation.db", "fuseblk", False),
        ("/mnt/twice/curation.db", "cifs", True),
    ],
)
def test_the_innermost_mount_counts(table: Path, path: str, kind: str, network: bool) -> None:
    assert file_system_type(Path(path), table) == kind
    assert network_file_system_type(Path(path), table) == (kind if network else None)


def test_without_a_table_nothing_is_known(tmp_path: Path) -> None:
    assert file_system_type(Path("/x"), tmp_path / "none") is None
    assert network_file_system_type(Path("/x"), tmp_path / "none") is None
