"""Commands on damaged, full or read-only storage: one line, a hint, the exit code, no lost data."""

from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.privileges import run_without_root_privileges
from support.record import Record
from support.terminal import Terminal

from curation_db.enums import Kind
from curation_db.storage.store import open_store
from workbench import version
from workbench.workspace.create import create_workspace
from workbench.workspace.layout import Workspace

NEGWB = Path(sys.executable).with_name("negwb")
Process = subprocess.CompletedProcess[str]


def long(value: object) -> Any:
    """Return a further value of a parameter, for the long tests: each starts processes of half a second and more."""
    return pytest.param(value, marks=pytest.mark.long)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Workspace with 200 candidates and five decisions of a finished session."""
    created = create_workspace(tmp_path / "ws")
    with open_store(created.database) as store:
        fill(store)
    return created


def fill(store: Any) -> None:
    record = Record(store)
    record.add(200)
    session = record.open_session("ana")
    for number in range(1, 6):
        session.reviewer.decide(number, Kind.ACCEPT)
    with store.write() as connection:
        connection.exec_driver_sql("UPDATE work_session SET ended_at = 'now'")


def negwb(workspace: Workspace, *words: str | Path, **more: Any) -> Process:
    command = [str(word) for word in (NEGWB, "-w", workspace.root, *words)]
    data = {"capture_output": True, "text": True, "stdin": subprocess.DEVNULL, "timeout": 120, **more}
    return subprocess.run(command, check=False, **data)


def with_code(workspace: Workspace, before: str, *words: str) -> Process:
    """Run the command line in a process that executes `before` first."""
    code = f"import sys\n{before}\nsys.argv[0] = 'negwb'\nfrom workbench.cli import main\nsys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", code, "-w", str(workspace.root), *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        timeout=120,
        check=False,
    )


def check_refused(done: Process, message: str, *, code: int = 3) -> None:
    """Check the exit code, the error line and the hint."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert len(lines) == 2, done.stderr
    assert lines[0].startswith("negwb: ")
    assert lines[1].startswith("       ")
    assert message in lines[0]


def rows(path: Path, statement: str) -> list[tuple[Any, ...]]:
    connection = sqlite3.connect(path)
    try:
        return connection.execute(statement).fetchall()
    finally:
        connection.close()


def copy_workspace(workspace: Workspace, folder: Path) -> Workspace:
    """Copy the files as they are on disk, as after a power cut."""
    folder.mkdir()
    for path in workspace.root.iterdir():
        shutil.copy(path, folder / path.name)
    return Workspace(folder)


class TestDamage:
    @pytest.mark.parametrize("command", [("status",), ("doctor", "--repair"), *map(long, [("export",), ("backup",)])])
    def test_a_garbage_header(self, workspace: Workspace, command: tuple[str, ...]) -> None:
        data = bytearray(workspace.database.read_bytes())
        data[:100] = b"\xa5" * 100
        workspace.database.write_bytes(data)
        check_refused(negwb(workspace, *command), "damaged")
        assert workspace.database.read_bytes() == data

    @pytest.mark.parametrize("command", [("export",), ("backup",), long(("doctor", "--repair"))])
    def test_a_flipped_page_in_the_middle(self, workspace: Workspace, command: tuple[str, ...]) -> None:
        ((page,),) = rows(workspace.database, "SELECT rootpage FROM sqlite_master WHERE name = 'event'")
        data = bytearray(workspace.database.read_bytes())
        data[(page - 1) * 4096 : page * 4096] = bytes(4096)
        workspace.database.write_bytes(data)
        done = negwb(workspace, *command)
        check_refused(done, "damaged")
        assert "negwb restore" in done.stderr
        assert workspace.database.read_bytes() == data
        assert not (workspace.root / "exports").exists() or not list((workspace.root / "exports").iterdir())

    def test_restore_after_damage(self, workspace: Workspace) -> None:
        backup_path = negwb(workspace, "backup").stdout.strip()
        workspace.database.write_bytes(b"\xa5" * 50_000)
        assert negwb(workspace, "doctor").returncode == 3
        done = negwb(workspace, "restore", backup_path)
        assert done.returncode == 0
        assert "its bytes are in" in done.stderr
        assert negwb(workspace, "doctor").returncode == 0
        assert rows(workspace.database, "SELECT count(*) FROM event") == [(5,)]

    @pytest.mark.parametrize("cut", [long(1), 3_000, long(40_000)])
    def test_a_truncated_log_loses_only_its_last_decisions(
        self, workspace: Workspace, tmp_path: Path, cut: int
    ) -> None:
        with open_store(workspace.database) as store:
            session = Record(store).open_session("ben")
            for number in range(6, 26):
                session.reviewer.decide(number, Kind.ACCEPT)
            left = copy_workspace(workspace, tmp_path / "left")
        (left.root / "curation.db-shm").unlink()
        log = left.root / "curation.db-wal"
        os.truncate(log, log.stat().st_size - cut)
        done = negwb(left, "doctor", "--json")
        assert done.returncode == 0, done.stdout
        events = rows(left.database, "SELECT seq FROM event ORDER BY seq")
        assert events == [(number,) for number in range(1, len(events) + 1)]
        assert 5 < len(events) < 25
        with open_store(left.database) as store:
            Record(store).assert_state_matches_events()

    def test_a_corrupt_log_is_ignored(self, workspace: Workspace) -> None:
        (workspace.root / "curation.db-wal").write_bytes(b"\xa5" * 100_000)
        assert negwb(workspace, "doctor").returncode == 0
        assert rows(workspace.database, "SELECT count(*) FROM event") == [(5,)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a file system of two megabytes; skip if this is not allowed."""
    folder = tmp_path / "disk"
    folder.mkdir()
    result = (
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder], capture_output=True, check=False
        ).returncode
        if shutil.which("mount")
        else 1
    )
    if result != 0:
        pytest.skip("no right to mount a small disk here")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


class TestFullDisk:
    def fill_up(self, folder: Path, leave: int = 0) -> Path:
        """Fill the disk up to `leave` bytes; another process may write to it at the same time."""
        stone = folder / "stone"
        with stone.open("wb", buffering=0) as file:
            try:
                while (free := shutil.disk_usage(folder).free) > leave:
                    file.write(bytes(free - leave))
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
        return stone

    def captions(self, folder: Path, count: int) -> Path:
        file = folder / "captions.jsonl"
        data = ({"image": f"{n}.jpg", "caption": f"a dog on the road {n} " + "x" * 500} for n in range(count))
        file.write_text("".join(json.dumps(each) + "\n" for each in data))
        return file

    def test_importing(self, small_disk: Path, tmp_path: Path) -> None:
        workspace = create_workspace(small_disk / "ws")
        with open_store(workspace.database) as store:
            fill(store)
        self.fill_up(small_disk, 200_000)
        done = negwb(workspace, "import", self.captions(tmp_path, 3_000))
        check_refused(done, "no disk space")
        (small_disk / "stone").unlink()
        assert negwb(workspace, "doctor").returncode in {0, 1}  # 1: still little free space
        assert rows(workspace.database, "PRAGMA integrity_check") == [("ok",)]
        assert rows(workspace.database, "SELECT count(*) FROM event") == [(5,)]

    def test_a_backup(self, small_disk: Path) -> None:
        workspace = create_workspace(small_disk / "ws")
        with open_store(workspace.database) as store:
            fill(store)
        self.fill_up(small_disk, 200_000)
        check_refused(negwb(workspace, "backup"), "cannot write a backup")
        assert list((workspace.root / "backups").iterdir()) == []

    def test_restoring(self, small_disk: Path, tmp_path: Path) -> None:
        workspace = create_workspace(small_disk / "ws")
        with open_store(workspace.database) as store:
            fill(store)
        created = tmp_path / "made.db"
        assert negwb(workspace, "backup", created).returncode == 0
        self.fill_up(small_disk, 450_000)  # for one copy, not for two
        before = rows(workspace.database, "SELECT * FROM event")
        assert negwb(workspace, "restore", created).returncode == 3
        assert rows(workspace.database, "SELECT * FROM event") == before
        assert not [path for path in workspace.root.rglob("*.part")]

    def test_deciding(self, small_disk: Path) -> None:
        workspace = create_workspace(small_disk / "ws")
        with open_store(workspace.database) as store:
            fill(store)
        command = [NEGWB, "-w", workspace.root, "curate", "-a", "ben", "--images", "none"]
        with Terminal(command) as terminal:
            terminal.wait_for(b"NEGATED")
            terminal.press_until("a", lambda: rows(workspace.database, "SELECT count(*) FROM event") == [(6,)])
            stone = self.fill_up(small_disk)
            terminal.press_until("u", lambda: terminal.shows(b"no disk space"))
            stone.unlink()
            ((events,),) = rows(workspace.database, "SELECT count(*) FROM event")
            terminal.press_until("a", lambda: rows(workspace.database, "SELECT count(*) FROM event")[0][0] > events)
            terminal.press("q")
            assert terminal.end() == 0
        with open_store(workspace.database) as store:
            Record(store).assert_state_matches_events()

    def test_quitting_while_decisions_are_refused(self, small_disk: Path) -> None:
        workspace = create_workspace(small_disk / "ws")
        with open_store(workspace.database) as store:
            fill(store)
        command = [NEGWB, "-w", workspace.root, "curate", "-a", "ben", "--images", "none"]
        with Terminal(command) as terminal:
            terminal.wait_for(b"NEGATED")
            self.fill_up(small_disk)
            terminal.press_until("u", lambda: terminal.shows(b"no disk space"))
            terminal.press("q")
            assert terminal.end() == 3
            assert terminal.shows(b"refused and")
            assert not terminal.shows(b"All decisions are stored")


@pytest.fixture
def file_size_limit() -> Callable[[], None]:
    """Limit the file size of a process to 200 kB."""
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))


def test_a_limit_on_file_sizes_is_a_full_disk(
    workspace: Workspace, tmp_path: Path, file_size_limit: Callable[[], None]
) -> None:
    assert workspace.database.stat().st_size > 200_000
    check_refused(negwb(workspace, "backup", tmp_path / "b.db", preexec_fn=file_size_limit), "cannot write a backup")
    assert not list(tmp_path.glob("*.db"))
    assert rows(workspace.database, "PRAGMA integrity_check") == [("ok",)]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
@pytest.mark.parametrize("command", [("status",), ("backup",), *map(long, [("status", "--json"), ("doctor",)])])
def test_output_to_a_full_disk(workspace: Workspace, command: tuple[str, ...]) -> None:
    with open("/dev/full", "w") as full:
        done = negwb(workspace, *command, capture_output=False, stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    assert "No space left" in done.stderr


class TestReadOnly:
    @pytest.fixture
    def guarded(self, workspace: Workspace) -> Iterator[Workspace]:
        for path in workspace.root.iterdir():
            path.chmod(0o444)
        workspace.root.chmod(0o555)
        yield workspace
        workspace.root.chmod(0o755)

    def test_a_backup_works_elsewhere_and_is_refused_in_the_workspace(self, guarded: Workspace, tmp_path: Path) -> None:
        outside = tmp_path / "mine.db"
        done = run_without_root_privileges([NEGWB, "-w", guarded.root, "backup", outside])
        assert done.returncode == 0, done.stderr
        assert rows(outside, "SELECT count(*) FROM event") == [(5,)]
        check_refused(run_without_root_privileges([NEGWB, "-w", guarded.root, "backup"]), "cannot write a backup")
        check_refused(run_without_root_privileges([NEGWB, "-w", guarded.root, "restore", outside]), "cannot")

    def test_doctor_writes_nothing(self, guarded: Workspace) -> None:
        before = {path.name: path.read_bytes() for path in guarded.root.iterdir()}
        done = run_without_root_privileges([NEGWB, "-w", guarded.root, "doctor", "--json"])
        assert done.returncode == 0, done.stdout
        data = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
        assert data["folder"]["level"] == "warning"
        assert data["states"]["level"] == "ok"
        assert {path.name: path.read_bytes() for path in guarded.root.iterdir()} == before


NFS = """
from curation_db.storage import filesystem
from pathlib import Path
filesystem.MOUNTS_FILE = Path({table!r})
"""


class TestNetworkMounts:
    @pytest.fixture
    def mounted(self, workspace: Workspace, tmp_path: Path) -> Callable[[str], str]:
        """Return a mount table with the workspace on a file system of the given type."""

        def table(kind: str) -> str:
            file = tmp_path / "mounts"
            spot = str(workspace.root).replace(" ", "\\040")
            file.write_text(f"/dev/sda / ext4 rw 0 0\nserver:/x {spot} {kind} rw 0 0\n")
            return NFS.format(table=str(file))

        return table

    @pytest.mark.parametrize("kind", ["nfs4", *map(long, ["cifs", "fuse.sshfs", "9p"])])
    def test_a_writing_command_warns_once(self, workspace: Workspace, mounted: Callable[[str], str], kind: str) -> None:
        done = with_code(workspace, mounted(kind), "export", "--json")
        assert done.returncode == 0
        assert json.loads(done.stdout)["counts"]["pairs"] == 5
        assert [line for line in done.stderr.splitlines() if "network" in line] == [
            line for line in done.stderr.splitlines() if line.startswith(f"negwb: {workspace.database} is on a network")
        ]
        assert done.stderr.count(f"({kind})") == 1

    def test_a_reading_command_does_not_warn_but_doctor_does(
        self, workspace: Workspace, mounted: Callable[[str], str]
    ) -> None:
        assert with_code(workspace, mounted("nfs4"), "status").stderr == ""
        assert "⚠ file system  nfs4, a network file system" in with_code(workspace, mounted("nfs4"), "doctor").stdout

    @pytest.mark.parametrize("kind", ["fuseblk", *map(long, ["ext4", "fuse.ext4", "tmpfs"])])
    def test_local_file_systems_give_no_warning(
        self, workspace: Workspace, mounted: Callable[[str], str], kind: str
    ) -> None:
        assert "network" not in with_code(workspace, mounted(kind), "export").stderr


NEWER = """
import curation_db.storage.migrations as migrations
migrations.REVISIONS, migrations.HEAD = (*migrations.REVISIONS, "9999"), "9999"
"""


class TestTwoVersions:
    def test_a_newer_version_waits_for_sessions_of_an_older_one(self, workspace: Workspace) -> None:
        command = [NEGWB, "-w", workspace.root, "curate", "-a", "ben", "--images", "none"]
        schema = rows(workspace.database, "SELECT * FROM sqlite_master")
        with Terminal(command) as terminal:
            terminal.wait_for(b"NEGATED")
            who = f"ben (negwb {version()}, process {terminal.process.pid} on "
            check_refused(with_code(workspace, NEWER, "export"), who)
            assert rows(workspace.database, "SELECT * FROM sqlite_master") == schema
            terminal.press_until("a", lambda: rows(workspace.database, "SELECT count(*) FROM event") == [(6,)])
            terminal.press("q")
            assert terminal.end() == 0
        assert "is using" not in with_code(workspace, NEWER, "export").stderr

    @pytest.mark.long
    def test_an_open_older_version_does_not_write_to_a_migrated_record(self, workspace: Workspace) -> None:
        command = [NEGWB, "-w", workspace.root, "curate", "-a", "ben", "--images", "none"]
        with Terminal(command) as terminal:
            terminal.wait_for(b"NEGATED")
            connection = sqlite3.connect(workspace.database)
            connection.execute("ALTER TABLE event ADD COLUMN mood TEXT")
            connection.execute("UPDATE alembic_version SET version_num = '9999'")
            connection.commit()
            connection.close()
            terminal.press_until("a", lambda: terminal.process.poll() is not None)
            assert terminal.end() == 3
            assert terminal.shows(b"another version of negwb has changed")
        assert rows(workspace.database, "SELECT count(*) FROM event") == [(5,)]
        check_refused(negwb(workspace, "curate", "--annotator", "ben"), "needs a terminal", code=2)
        check_refused(negwb(workspace, "export"), "newer negwb")
