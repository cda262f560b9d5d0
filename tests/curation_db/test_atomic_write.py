"""A file is replaced completely or not at all, despite failures and concurrent writers."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from curation_db.atomic_write import create_file, replace_file, replacing, sync


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("only_writer", [False, True])
def test_the_old_content_stays_until_the_block_ends(tmp_path: Path, only_writer: bool) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with replacing(path, only_writer=only_writer) as draft:
        draft.write_text("new")
        assert path.read_text() == "old"
    assert (path.read_text(), names(tmp_path)) == ("new", {"a.txt"})


@pytest.mark.parametrize("only_writer", [False, True])
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_a_failed_write_leaves_the_old_file_and_no_draft(
    tmp_path: Path, only_writer: bool, error: BaseException
) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(type(error)), replacing(path, only_writer=only_writer) as draft:
        draft.write_text("half")
        raise error
    assert (path.read_text(), names(tmp_path)) == ("old", {"a.txt"})


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o664, 0o444])
def test_an_existing_file_keeps_its_permissions(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    path.chmod(mode)
    with replacing(path) as draft:
        assert stat.S_IMODE(draft.stat().st_mode) & 0o077 & ~mode == 0, "a private file's draft is private too"
        draft.write_text("new")
    assert (stat.S_IMODE(path.stat().st_mode), path.read_text()) == (mode, "new")


def test_a_new_file_has_the_permissions_of_the_umask(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    replace_file(tmp_path / "new", "text")
    assert (tmp_path / "new").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_symbolic_link_stays(tmp_path: Path) -> None:
    (tmp_path / "real.txt").write_text("old")
    (tmp_path / "link.txt").symlink_to("real.txt")
    replace_file(tmp_path / "link.txt", "zwölf\n")
    assert (tmp_path / "link.txt").is_symlink()
    assert (tmp_path / "real.txt").read_bytes() == "zwölf\n".encode()


def test_the_draft_of_a_killed_process_is_reused_by_the_only_writer(tmp_path: Path) -> None:
    code = (
        "import os, sys; from pathlib import Path; from curation_db.atomic_write import replacing\n"
        "with replacing(Path(sys.argv[1]), only_writer=True) as draft:\n"
        "    draft.write_text('a long half'); os.kill(os.getpid(), 9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a")], check=False)
    assert names(tmp_path) == {".a.new"}
    replace_file(tmp_path / "a", b"new", only_writer=True)
    assert ((tmp_path / "a").read_bytes(), names(tmp_path)) == (b"new", {"a"})


def test_file_and_folder_reach_the_disk_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    steps: list[str] = []
    fsync = os.fsync

    def watched(handle: int) -> None:
        steps.append(f"{Path(os.readlink(f'/proc/self/fd/{handle}')).suffix} {(tmp_path / 'a').exists()}")
        fsync(handle)

    folder = Path(os.path.realpath(tmp_path))
    monkeypatch.setattr(os, "fsync", watched)
    replace_file(folder / "a", "text")
    assert steps == [".new False", " True"]


def test_a_folder_that_cannot_be_synced_is_no_error_and_a_file_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(handle: int) -> None:
        raise OSError(errno.EINVAL, "Invalid argument")

    (tmp_path / "a").touch()
    monkeypatch.setattr(os, "fsync", refuse)
    sync(tmp_path)
    with pytest.raises(OSError, match="Invalid argument"):
        sync(tmp_path / "a")


@pytest.mark.parametrize("links", [True, False])
def test_one_of_many_creates_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "no links here")

    if not links:
        monkeypatch.setattr(os, "link", refuse)
    contents = [str(number).encode() * 1000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        created = list(pool.map(lambda content: create_file(tmp_path / "a", content), contents))
    assert created.count(True) == 1
    assert (tmp_path / "a").read_bytes() == contents[created.index(True)]
    assert names(tmp_path) == {"a"}
