"""`negwb backup` and `negwb restore`: whole, checked copies of the record, and the way back to one."""

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
"""What takes no longer needs no bar."""
_BACKUP_EPILOG = """\b
Examples:
  negwb backup                          into the workspace's folder backups, named by time and event
  negwb backup /mnt/usb/before-friday.db
  negwb backup --list                   what there is
  negwb backup --keep 5                 and delete all but the newest five of those that
                                        negwb made by itself (before migrations, restores ...)
"""
_RESTORE_EPILOG = """\b
Examples:
  negwb backup --list
  negwb restore backups/curation-20260823T101112Z-1204.db
  negwb restore /mnt/usb/before-friday.db --force
"""


def register(app: typer.Typer) -> None:
    """Add both commands."""
    app.command(epilog=_BACKUP_EPILOG)(backup)
    app.command(epilog=_RESTORE_EPILOG)(restore)


def backup(
    context: typer.Context,
    file: Annotated[
        Path | None, typer.Argument(help="Where to; never overwritten.", show_default="a new name in backups/")
    ] = None,
    listed: Annotated[bool, typer.Option("--list", help="Show the backups there are, and make none.")] = False,
    keep: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Then delete all but the newest N automatic backups.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of the path or the table.")] = False,
) -> None:
    """Copy the record, whole and checked, while people go on deciding.

    Pictures, exports, runs and results are files already: copy them as such.
    """
    from workbench.workspace.layout import find_workspace

    record = find_workspace(context.obj).database
    if listed:
        if file is not None or keep is not None:
            raise UsageError("--list only shows what there is", hint="leave out FILE and --keep")
        _show_list(record, as_json=as_json)
        return
    made = _make_backup(record, file)
    gone = _prune(record, keep)
    told = {**asdict(made), "path": str(made.path), "pruned": [str(path) for path in gone]}
    typer.echo(json.dumps(told) if as_json else str(made.path))
    _print_backup(made, gone)


def _make_backup(record: Path, file: Path | None) -> Backup:
    from curation_db.storage.backup import back_up
    from workbench.console.progress_bars import step_bars

    if file is not None and file.is_dir():
        raise UsageError(f"{file} is a folder", hint=f"name a file in it: negwb backup {file / 'curation.db'}")
    if file is not None and not file.absolute().parent.is_dir():
        raise UsageError(f"there is no folder {file.absolute().parent}", hint="make it first, or name another folder")
    try:
        with step_bars(lines=True) as tell:
            return back_up(record, file.absolute() if file else None, progress=_delayed_progress(tell))
    except FileExistsError as error:
        raise UsageError(str(error), hint="a backup never overwrites anything: take another name") from error


def _delayed_progress(tell: Step) -> Callable[[int, int], None]:
    started = time.monotonic()

    def progress(done: int, total: int) -> None:
        if time.monotonic() - started > _QUIET_S:
            tell("copying, percent", done * 100 // max(total, 1), 100)

    return progress


def _prune(record: Path, keep: int | None) -> list[Path]:
    from curation_db.storage.backup import backup_folder, prune

    return prune(backup_folder(record), keep) if keep else []


def _print_backup(made: Backup, gone: list[Path]) -> None:
    tables = made.tables
    counted = ", ".join(f"{tables[name]:,} {name}s" for name in ("event", "candidate", "image") if name in tables)
    typer.echo(f"negwb: {counted}; {made.size / 1e6:,.1f} MB, whole and the same as the record", err=True)
    if made.dangling:
        told = ", ".join(f"{count:,} of {each}" for each, count in made.dangling.items())
        typer.echo(f"       but in the record rows refer to rows that are not there ({told}): negwb doctor", err=True)
    if gone:
        typer.echo(f"       deleted {len(gone)} older automatic backups", err=True)


def _show_list(record: Path, *, as_json: bool) -> None:
    from curation_db.storage.backup import backup_folder, list_backups
    from workbench.console.tables import Listing, show

    found = list_backups(backup_folder(record))
    if as_json:
        typer.echo(json.dumps([{**asdict(each), "path": str(each.path)} for each in found]))
        return
    if found:
        show([Listing("Backups", ("file", "made (UTC)", "why", "event", "MB"), list(map(_row, found)), left=3)])
    else:
        typer.echo("negwb: no backups yet: negwb backup", err=True)


def _row(each: BackupRow) -> tuple[str, ...]:
    why = each.problem or (f"by itself, before {each.before}" if each.before else "asked for")
    event = "" if each.event is None else f"{each.event:,}"
    return each.path.name, each.made_at[:16].replace("T", " "), why, event, f"{each.size / 1e6:,.1f}"


def restore(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(help="A backup: a path, or a name in the workspace's backups/.")],
    force: Annotated[
        bool, typer.Option("--force", help="Also where sessions of other machines still count as live.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")] = False,
) -> None:
    """Put a backup in the record's place.

    What is there now is backed up first, so this can be taken back. While somebody is at work it is refused.
    """
    from curation_db.exporting.manifest import event_numbers
    from curation_db.storage.backup import backup_folder
    from curation_db.storage.restore import restore as put_back
    from workbench.console.progress_bars import step_bars
    from workbench.workspace.layout import find_workspace

    workspace = find_workspace(context.obj)
    record = workspace.database
    named = backup_folder(record) / file
    chosen = named if not file.exists() and named.is_file() else file.absolute()
    with step_bars(lines=True) as tell:
        exported = event_numbers(workspace.exports)
        done = put_back(record, chosen, exported=exported, force=force, progress=_delayed_progress(tell))
    if as_json:
        typer.echo(json.dumps(_restore_json(done)))
    _print_restored(done)


def _restore_json(done: RestoreResult) -> dict[str, Any]:
    return {
        "backup": str(done.backup),
        "event": done.event,
        "next_event": done.next_event,
        "before": str(done.before) if done.before else None,
        "damaged": done.damaged,
        "lost": {
            "events": done.loss.events,
            "by_person": dict(done.loss.by_person),
            "rows": dict(done.loss.rows),
        },
    }


def _print_restored(done: RestoreResult) -> None:
    from curation_db.language.sanitize import display_text

    typer.echo(f"negwb: the record is {display_text(done.backup.name)} again, up to event {done.event:,}", err=True)
    for line in _restored_lines(done):
        typer.echo(f"       {display_text(line, limit=400)}", err=True)


def _restored_lines(done: RestoreResult) -> list[str]:
    if done.before is None:
        lines = ["there was no record before"]
    elif done.damaged:
        lines = ["what was there is damaged; what is lost by it cannot be told", f"its bytes are kept in {done.before}"]
    else:
        lines = [_loss_text(done.loss), f"what was there is kept: to go back to it: negwb restore {done.before}"]
    if done.next_event > done.event + 1:
        lines.append(f"the next event is {done.next_event:,}: no number that was used before is used again")
    return lines


def _loss_text(loss: Loss) -> str:
    people = ", ".join(f"{count:,} of {name}" for name, count in loss.by_person.items())
    rows = ", ".join(f"{count:,} {name}s" for name, count in loss.rows.items())
    if not loss.events and not rows:
        return "nothing is lost by it"
    events = f"{loss.events:,} events that are newer ({people})" if loss.events else ""
    return f"not in it: {' and '.join(part for part in (events, rows) if part)}"
