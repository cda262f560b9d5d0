"""`negwb backup` and `negwb restore`: make verified copies of the record, and restore one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from workbench.errors import UsageError

if TYPE_CHECKING:
    from curation_db.storage.backup import Backup, BackupRow
    from curation_db.storage.restore import Loss, RestoreResult
    from workbench.console.progress_bars import Step

_QUIET_S = 1.0
"""Seconds after which a copy shows its progress."""
_BACKUP_EPILOG = """\b
Examples:
  negwb backup                          write to backups/ of the workspace, named by time and event
  negwb backup /mnt/usb/before-friday.db
  negwb backup --list                   list the backups
  negwb backup --keep 5                 also delete all but the newest five automatic backups
                                        (made before migrations, restores ...)
"""
_RESTORE_EPILOG = """\b
Examples:
  negwb backup --list
  negwb restore backups/curation-20260823T101112Z-1204.db
  negwb restore /mnt/usb/before-friday.db --force
"""


def register(app: typer.Typer) -> None:
    """Add the commands backup and restore."""
    app.command(epilog=_BACKUP_EPILOG)(backup)
    app.command(epilog=_RESTORE_EPILOG)(restore)


def backup(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(help="File to write; must not exist.", show_default="a new name in backups/"),
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="List the backups; make none.")] = False,
    keep: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Delete all but the newest N automatic backups afterwards.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the path or the table.")] = False,
) -> None:
    """Copy the record and verify the copy; annotation can go on meanwhile.

    Only the record is copied. Images, exports, runs and results are plain files: copy them yourself.
    """
    from curation_db.storage.backup import backup_folder, prune
    from workbench.workspace.layout import find_workspace

    record = find_workspace(context.obj).database
    if listed:
        if file is not None or keep is not None:
            raise UsageError("--list makes no backup", hint="leave out FILE and --keep")
        _show_list(record, as_json=as_json)
        return
    backup = _make_backup(record, file)
    deleted = prune(backup_folder(record), keep) if keep else []
    report = {**asdict(backup), "path": str(backup.path), "pruned": [str(path) for path in deleted]}
    typer.echo(json.dumps(report) if as_json else str(backup.path))
    _print_backup(backup, len(deleted))


def _make_backup(record: Path, file: Path | None) -> Backup:
    from curation_db.storage.backup import back_up
    from workbench.console.progress_bars import step_bars

    if file is not None and file.is_dir():
        raise UsageError(f"{file} is a folder", hint=f"name a file in it: negwb backup {file / 'curation.db'}")
    if file is not None and not file.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {file.absolute().parent}", hint="create it, or name another folder")
    try:
        with step_bars(lines=True) as report_step:
            return back_up(record, file.absolute() if file else None, progress=_delayed_progress(report_step))
    except FileExistsError as error:
        raise UsageError(str(error), hint="a backup does not overwrite a file: name another one") from error


def _delayed_progress(report_step: Step) -> Callable[[int, int], None]:
    """Report the progress of a copy as a percentage, once it has taken `_QUIET_S`."""
    started = time.monotonic()

    def progress(done: int, total: int) -> None:
        if time.monotonic() - started > _QUIET_S:
            report_step("copying, percent", done * 100 // max(total, 1), 100)

    return progress


def _print_backup(backup: Backup, deleted: int) -> None:
    tables = backup.tables
    counts = ", ".join(f"{tables[name]:,} {name}s" for name in ("event", "candidate", "image") if name in tables)
    typer.echo(f"negwb: {counts}; {backup.size / 1e6:,.1f} MB, verified against the record", err=True)
    if backup.dangling:
        tables_text = ", ".join(f"{count:,} of {table}" for table, count in backup.dangling.items())
        typer.echo(f"       the record has rows that refer to missing rows ({tables_text}): negwb doctor", err=True)
    if deleted:
        typer.echo(f"       deleted {deleted} older automatic backups", err=True)


def _show_list(record: Path, *, as_json: bool) -> None:
    from curation_db.storage.backup import backup_folder, list_backups
    from workbench.console.tables import Listing, show

    backups = list_backups(backup_folder(record))
    if as_json:
        typer.echo(json.dumps([{**asdict(each), "path": str(each.path)} for each in backups]))
        return
    if backups:
        show([Listing("Backups", ("file", "made (UTC)", "reason", "event", "MB"), list(map(_row, backups)), left=3)])
    else:
        typer.echo("negwb: no backups yet; make one: negwb backup", err=True)


def _row(each: BackupRow) -> tuple[str, ...]:
    reason = each.problem or (f"automatic, before {each.before}" if each.before else "negwb backup")
    event = "" if each.event is None else f"{each.event:,}"
    return each.path.name, each.made_at[:16].replace("T", " "), reason, event, f"{each.size / 1e6:,.1f}"


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="Backup to restore: a path, or a file name in backups/.")],
    force: Annotated[
        bool, typer.Option("--force", help="Restore even if sessions on other machines count as live.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Replace the record by a backup.

    The current record is backed up first, so a restore can be reverted. Refused while a session is live.
    """
    from curation_db.exporting.manifest import event_numbers
    from curation_db.storage.backup import backup_folder
    from curation_db.storage.restore import restore as restore_record
    from workbench.console.progress_bars import step_bars
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    record = workspace.database
    in_backups = backup_folder(record) / file
    path = in_backups if not file.exists() and in_backups.is_file() else file.absolute()
    with step_bars(lines=True) as report_step:
        exported = event_numbers(workspace.exports)
        restored = restore_record(record, path, exported=exported, force=force, progress=_delayed_progress(report_step))
    if as_json:
        typer.echo(json.dumps(_restore_json(restored)))
    _print_restored(restored)


def _restore_json(restored: RestoreResult) -> dict[str, Any]:
    return {
        "backup": str(restored.backup),
        "event": restored.event,
        "next_event": restored.next_event,
        "before": str(restored.before) if restored.before else None,
        "damaged": restored.damaged,
        "lost": {
            "events": restored.loss.events,
            "by_person": dict(restored.loss.by_person),
            "rows": dict(restored.loss.rows),
        },
    }


def _print_restored(restored: RestoreResult) -> None:
    from curation_db.language.sanitize import display_text

    typer.echo(f"negwb: restored {display_text(restored.backup.name)}, up to event {restored.event:,}", err=True)
    for line in _restored_lines(restored):
        typer.echo(f"       {display_text(line, limit=400)}", err=True)


def _restored_lines(restored: RestoreResult) -> list[str]:
    if restored.before is None:
        lines = ["there was no record before"]
    elif restored.damaged:
        lines = ["the replaced record is damaged: its loss cannot be counted", f"its bytes are in {restored.before}"]
    else:
        lines = [_loss_text(restored.loss), f"to revert this restore: negwb restore {restored.before}"]
    if restored.next_event > restored.event + 1:
        lines.append(f"the next event is {restored.next_event:,}: event numbers are not reused")
    return lines


def _loss_text(loss: Loss) -> str:
    actors = ", ".join(f"{count:,} of {name}" for name, count in loss.by_person.items())
    rows = ", ".join(f"{count:,} {name}s" for name, count in loss.rows.items())
    if not loss.events and not rows:
        return "nothing is lost: the backup has all rows of the replaced record"
    events = f"{loss.events:,} newer events ({actors})" if loss.events else ""
    return f"not in the backup: {' and '.join(part for part in (events, rows) if part)}"
