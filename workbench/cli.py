"""The command line: a thin tree of commands, each of which lives in `workbench.commands`.

stdout is data, stderr is everything else. Nothing heavy is imported here or at the top of a command's module.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup

from workbench.console import interruption, standard_streams
from workbench.errors import ExitCode, NegwbError, UsageError


class _InOrder(TyperGroup):
    """Lists the commands in the order of the work (typer would put groups of commands last)."""

    order = (
        "demo",
        "init",
        "import",
        "generate",
        "curate",
        "browse",
        "adjudicate",
        "history",
        "serve",
        "lint",
        "gold",
        "queue",
        "annotators",
        "export",
        "train",
        "bench",
        "report",
        "status",
        "progress",
        "backup",
        "restore",
        "doctor",
    )

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted(self.commands, key=lambda name: self.order.index(name) if name in self.order else len(self.order))


app = typer.Typer(
    name="negwb",
    cls=_InOrder,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _show_version(value: bool) -> None:
    if value:
        from workbench import version

        typer.echo(f"negwb {version()}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    workspace: Annotated[
        Path | None,
        typer.Option("--workspace", "-w", help="The workspace folder [default: from here upwards, or NEGWB_WORKSPACE]"),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and stop.")
    ] = False,
) -> None:
    """Teach CLIP the word "no": import captions, curate negated ones, train on them, measure.

    A first look, with everything drawn and simulated on this machine:  negwb demo
    """
    if _is_folder_deleted():
        raise _folder_deleted()
    context.obj = workspace
    _given.append(workspace)


_given: list[Path | None] = []
"""The workspace that the command line names."""


def _is_folder_deleted() -> bool:
    """Whether the current folder is gone: then no relative path has a meaning, and torch does not load."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _folder_deleted() -> UsageError:
    return UsageError("the current folder was deleted", hint="go to a folder that exists, as in: cd ~")


def _register() -> None:
    from workbench.commands import (
        adjudicate,
        annotators,
        backup,
        bench,
        browse,
        curate,
        demo,
        doctor,
        export,
        generate,
        gold,
        history,
        imports,
        init,
        lint,
        progress,
        queue,
        report,
        serve,
        status,
        train,
    )

    for module in (
        demo,
        init,
        imports,
        generate,
        curate,
        browse,
        adjudicate,
        history,
        serve,
        lint,
        gold,
        queue,
        annotators,
        export,
        train,
        bench,
        report,
        status,
        progress,
        backup,
        doctor,
    ):
        module.register(app)


_register()


def main() -> int:
    """Run the command line; returns the exit code."""
    warnings.showwarning = _show_warning
    standard_streams.prepare()
    try:
        with interruption.raised():
            code = app(standalone_mode=False, prog_name="negwb")
        sys.stdout.flush()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # typer ends so when nobody reads on
            return _nobody_reads()
        raise
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        return _tell(error)
    return _interrupted() if interruption.is_exit_code(code) else int(code or ExitCode.OK)


# typer brings a click of its own or uses the installed one, depending on its version: its classes know which
_CLICK_ERROR = typer.BadParameter.__mro__[2]


def _tell(error: Any) -> int:
    """Say what went wrong in one line and a hint; the trace of an unexpected error goes into a log file."""
    if interruption.received():
        interruption.ignore()
    if isinstance(error, NegwbError):
        interrupted = error.exit_code == ExitCode.INTERRUPTED
        return _fail(error.message, error.hint, interruption.exit_code() if interrupted else error.exit_code)
    if isinstance(error, typer.Abort) or _is_hang_up(error):
        return _interrupted()
    if isinstance(error, _CLICK_ERROR):
        return _tell_usage(error)
    if isinstance(error, BrokenPipeError):
        return _nobody_reads()
    return _tell_record_error(error)


def _is_hang_up(error: Any) -> bool:
    """Whether a write failed because the terminal is gone."""
    if not (isinstance(error, OSError) and error.errno == errno.EIO):
        return False
    if interruption.received() is None and standard_streams.is_terminal_gone():
        interruption.hung_up()
    return interruption.received() == signal.SIGHUP


def _tell_usage(error: Any) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help itself
        typer.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    where = context.command_path if context else "negwb"
    hint = f"see: {where} --help"
    if getattr(error, "option_name", "") in ("-w", "--workspace"):  # where other programs want it
        hint = f"it stands before the command: {where.replace('negwb', 'negwb -w FOLDER', 1)}"
    return _fail(error.format_message(), hint, ExitCode.USAGE)


def _nobody_reads() -> int:
    """The reader of our output is gone (`negwb status | head -1`): be quiet, to the very end of the process."""
    standard_streams.silence(1)
    return ExitCode.OK


def _tell_record_error(error: Exception) -> int:
    """Errors of the floors below, which know no exit codes."""
    from benchmarks.errors import BenchError
    from curation_db.errors import RecordError
    from trainers.errors import TrainerError

    if isinstance(error, RecordError):
        return _fail(error.message, error.hint, ExitCode.DATABASE)
    if isinstance(error, BenchError | TrainerError):
        return _fail(error.message, error.hint, ExitCode.FAILED)
    if isinstance(error, OSError) and error.errno in _DISK_TROUBLE:
        return _tell_disk_trouble(error)
    if isinstance(error, FileNotFoundError) and _is_folder_deleted():
        return _tell(_folder_deleted())
    return _tell_unexpected(error)


def _tell_unexpected(error: Exception) -> int:
    from workbench.error_log import unexpected_line, write_error_log

    return _fail(unexpected_line(error, write_error_log(error, next(iter(_given), None))), "", ExitCode.UNEXPECTED)


_DISK_TROUBLE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def _tell_disk_trouble(error: OSError) -> int:
    """A disk that is full, read-only or broken is no bug of ours, wherever it shows."""
    try:
        sys.stdout.flush()
    except OSError:  # it was our output that found no room: the interpreter must not try again
        _nobody_reads()
    where = f"cannot write {error.filename}" if error.filename else "cannot write"
    return _fail(f"{where}: {error.strerror}", "free some space, or write elsewhere", ExitCode.UNEXPECTED)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Warnings of the floors below are for the person, in a line; anybody else's are for developers."""
    if category.__module__.startswith(("curation_db", "workbench")):
        from curation_db.language.sanitize import display_text

        typer.echo(f"negwb: {display_text(str(message), limit=400)}", err=True)
    else:
        typer.echo(warnings.formatwarning(message, category, filename, lineno), err=True, nl=False)


def _fail(message: str, hint: str, code: int) -> int:
    from curation_db.language.sanitize import display_text

    typer.echo(f"negwb: {display_text(message)}", err=True)
    if hint:
        typer.echo(f"       {display_text(hint)}", err=True)
    return code


def _interrupted() -> int:
    interruption.ignore()
    how = interruption.received()
    try:
        typer.echo(f"negwb: {f'ended by {how.name}' if how else 'interrupted'}; what was done is kept", err=True)
        sys.stdout.flush()
    except OSError:  # a hang-up: the terminal of our streams is gone
        _nobody_reads()
    return interruption.exit_code()
