"""The command line: the root command, and the conversion of errors to one line, a hint and an exit code.

The commands are in `workbench.commands`. stdout is for data, stderr for everything else. This module and the modules of
the commands import nothing heavy at module level, so that `negwb --help` takes less than 0.25 s.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Mapping
from functools import partial
from inspect import cleandoc
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer
from typer.core import TyperGroup

from workbench.console import interruption, standard_streams
from workbench.errors import ExitCode, NegwbError, UsageError

STAGES: Final[Mapping[str, tuple[str, ...]]] = {
    "Set up": ("demo", "init"),
    "Collect": ("import", "audit", "generate"),
    "Decide": (
        "curate",
        "browse",
        "adjudicate",
        "history",
        "serve",
        "decide",
        "undo",
        "lint",
        "images",
        "gold",
        "judges",
        "prompts",
        "accept",
        "queue",
        "annotators",
    ),
    "Train and measure": (
        "export",
        "export-as",
        "export-verify",
        "export-card",
        "export-croissant",
        "export-paper",
        "train",
        "mistaken",
        "ablate",
        "sweep-alpha",
        "model",
        "bench",
        "apply",
        "report",
    ),
    "Care for the record": ("status", "progress", "backup", "restore", "doctor", "config"),
}
"""The commands in the order of the help, by stage of the work."""


class _CommandsByStage(TyperGroup):
    """The root command; its help lists the commands by stage."""

    def list_commands(self, ctx: Any) -> list[str]:
        order = [name for names in STAGES.values() for name in names]
        return sorted(self.commands, key=lambda name: order.index(name) if name in order else len(order))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Read "export verify" as "export-verify"; after "--" the word is the name of an export."""
        if args[:1] == ["export"] and len(args) > 1 and (joined := f"export-{args[1]}") in self.commands:
            args = [joined, *args[2:]]
        return super().resolve_command(ctx, args)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            _fit_help(command)
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """Write a section for each stage. Typer does this too (`rich_help_panel`), but only with rich, which is slow
        to import."""
        names = self.list_commands(ctx)
        width = max(map(len, names))
        limit = formatter.width - 6 - width
        for stage, members in STAGES.items():
            rows = [(name, self.commands[name].get_short_help_str(limit)) for name in names if name in members]
            with formatter.section(stage):
                formatter.write_dl([(name.ljust(width), text) for name, text in rows])


def _fit_help(command: Any) -> None:
    """Let the help of a command and of its subcommands fit its examples to the width."""
    command.format_epilog = partial(_format_epilog, command)
    for each in getattr(command, "commands", {}).values():
        _fit_help(each)


def _format_epilog(command: Any, _: Any, formatter: Any) -> None:
    if not command.epilog:
        return
    from workbench.console.help_examples import fit_examples

    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(fit_examples(cleandoc(command.epilog), formatter.width - formatter.current_indent))


app = typer.Typer(
    name="negwb",
    cls=_CommandsByStage,
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
        typer.Option(
            "--workspace",
            "-w",
            help="The workspace folder [default: NEGWB_WORKSPACE, or the nearest one from here upwards]",
        ),
    ] = None,
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Teach CLIP the word "no": import captions, curate negated ones, train on them, measure.

    For a first look, with drawn images and simulated models:  negwb demo
    """
    if _is_deleted_folder_error():
        raise _deleted_folder_error()
    context.obj = workspace
    _workspace_option.append(workspace)


_workspace_option: list[Path | None] = []
"""The value of --workspace, for the error log; empty before the options are parsed."""


def _is_deleted_folder_error() -> bool:
    """Return whether the current folder was deleted: relative paths are invalid then, and torch fails to load."""
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _deleted_folder_error() -> UsageError:
    return UsageError("the current folder was deleted", hint="go to a folder that exists, as in: cd ~")


def _register() -> None:
    from workbench.commands import apply, audit, bench, export, generate, imports, report, train
    from workbench.commands.decide import accept, adjudicate, browse, curate, decide, history, queue, serve
    from workbench.commands.export import as_format, card, description, verify
    from workbench.commands.quality import annotators, gold, images, judges, lint, prompts
    from workbench.commands.train import ablate, mistaken, model, sweep_alpha
    from workbench.commands.workspace import backup, config, demo, doctor, init, progress, status

    for module in (
        demo,
        init,
        imports,
        audit,
        generate,
        curate,
        browse,
        adjudicate,
        history,
        serve,
        decide,
        lint,
        images,
        gold,
        judges,
        prompts,
        accept,
        queue,
        annotators,
        export,
        as_format,
        card,
        verify,
        description,
        train,
        mistaken,
        model,
        ablate,
        sweep_alpha,
        bench,
        apply,
        report,
        status,
        progress,
        backup,
        doctor,
        config,
    ):
        module.register(app)


_register()


def main() -> int:
    """Run the command line and return the exit code."""
    warnings.showwarning = _show_warning
    standard_streams.prepare()
    try:
        with interruption.raised():
            code = app(standalone_mode=False, prog_name="negwb")
        sys.stdout.flush()
    except SystemExit as stop:
        if isinstance(stop.__context__, BrokenPipeError):  # typer exits like this when stdout is closed
            return _end_silently()
        raise
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        return _report(error)
    return _interrupted() if interruption.is_exit_code(code) else int(code or ExitCode.OK)


# Depending on its version, typer uses the installed click or a copy of its own; its classes show which one.
_CLICK_ERROR = typer.BadParameter.__mro__[2]


def _report(error: Any) -> int:
    """Print the error as one line and a hint, write the trace of an unexpected error to a log, return the exit code."""
    if interruption.received():
        interruption.ignore()
    if isinstance(error, NegwbError):
        interrupted = error.exit_code == ExitCode.INTERRUPTED
        return _fail(error.message, error.hint, interruption.exit_code() if interrupted else error.exit_code)
    if isinstance(error, typer.Abort) or _is_hang_up(error):
        return _interrupted()
    if isinstance(error, _CLICK_ERROR):
        return _report_usage_error(error)
    if isinstance(error, BrokenPipeError):
        return _end_silently()
    return _report_other_error(error)


def _is_hang_up(error: Any) -> bool:
    """Return whether a write failed because the terminal was closed."""
    if not (isinstance(error, OSError) and error.errno == errno.EIO):
        return False
    if interruption.received() is None and standard_streams.is_terminal_gone():
        interruption.hung_up()
    return interruption.received() == signal.SIGHUP


def _report_usage_error(error: Any) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # the message is the help text
        typer.echo(error.format_message(), err=True)
        return ExitCode.USAGE
    where = context.command_path if context else "negwb"
    hint = f"see: {where} --help"
    if getattr(error, "option_name", "") in ("-w", "--workspace"):  # often written after the command
        hint = f"put it before the command: {where.replace('negwb', 'negwb -w FOLDER', 1)}"
    return _fail(error.format_message(), hint, ExitCode.USAGE)


def _end_silently() -> int:
    """Write nothing more to stdout, whose reader has closed it (`negwb status | head -1`)."""
    standard_streams.silence(1)
    return ExitCode.OK


def _report_other_error(error: Exception) -> int:
    """Report an error of a package that defines no exit codes."""
    from benchmarks.errors import BenchError
    from curation_db.errors import RecordError
    from trainers.errors import TrainerError

    if isinstance(error, RecordError):
        return _fail(error.message, error.hint, ExitCode.DATABASE)
    if isinstance(error, BenchError | TrainerError):
        return _fail(error.message, error.hint, ExitCode.FAILED)
    if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
        return _report_disk_error(error)
    if isinstance(error, FileNotFoundError) and _is_deleted_folder_error():
        return _report(_deleted_folder_error())
    return _report_unexpected(error)


def _report_unexpected(error: Exception) -> int:
    from workbench.error_log import unexpected_line, write_error_log

    return _fail(
        unexpected_line(error, write_error_log(error, next(iter(_workspace_option), None))), "", ExitCode.UNEXPECTED
    )


_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}


def _report_disk_error(error: OSError) -> int:
    """Report a full, read-only or broken disk, which is not a bug of negwb."""
    try:
        sys.stdout.flush()
    except OSError:  # stdout is on that disk: the interpreter must not flush it again
        _end_silently()
    where = f"cannot write {error.filename}" if error.filename else "cannot write"
    return _fail(f"{where}: {error.strerror}", "free some space, or write to another folder", ExitCode.UNEXPECTED)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning of negwb as one line, and any other warning in the format of Python."""
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
    received = interruption.received()
    try:
        typer.echo(
            f"negwb: {f'ended by {received.name}' if received else 'interrupted'}; what was done is kept", err=True
        )
        sys.stdout.flush()
    except OSError:  # the terminal was closed
        _end_silently()
    return interruption.exit_code()
