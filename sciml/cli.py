"""The command line: wires the commands, and turns every failure into one line and an exit code."""

from __future__ import annotations

import errno
import functools
import os
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer

from sciml import __version__
from sciml.commands import mesh, simulate
from sciml.commands.compare import compare
from sciml.commands.evaluate import evaluate
from sciml.commands.generate import generate
from sciml.commands.invert import invert
from sciml.commands.listing import list_installed
from sciml.commands.predict import predict
from sciml.commands.report import report
from sciml.commands.run import run
from sciml.commands.solve import solve
from sciml.interruption import INTERRUPTED, Attention, interruption

__all__ = ["app", "main"]

FAILURE = 2

_attention = Attention()

app = typer.Typer(
    name="sciml",
    help="Learn the solution operator of a partial differential equation, and check every answer against the equation.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code: 0, 2 for a failure, 130 for Ctrl-C."""
    given = arguments if arguments is not None else sys.argv[1:]
    _attention.received, _attention.words = False, interruption(given)
    try:
        with _attention.paid():
            result = app(given, prog_name="sciml", standalone_mode=False)
    except (Exception, KeyboardInterrupt) as error:
        if _debugging():
            raise
        if _attention.received or isinstance(error, KeyboardInterrupt):
            return _complain(_attention.words, INTERRUPTED)
        # Typer's own complaints about the command line know how to put themselves into words.
        words = getattr(error, "format_message", None)
        context = getattr(error, "ctx", None)
        if words is None:
            return _complain(f"{type(error).__name__}: {error}", 1)
        return _complain(
            f"{words().rstrip('.')}. See `{context.command_path if context else 'sciml'} --help`.", FAILURE
        )
    return result if isinstance(result, int) else 0


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """The command, with its failures turned into one line and an exit code, unless SCIML_DEBUG=1."""

    @functools.wraps(command)
    def call(*arguments: Any, **options: Any) -> None:
        try:
            command(*arguments, **options)
        except (Exception, KeyboardInterrupt) as error:
            if _debugging():
                raise
            if _attention.received and not isinstance(error, KeyboardInterrupt):
                error = KeyboardInterrupt()
            raise typer.Exit(_complain(*_sentence(error))) from None

    return call


def _sentence(error: BaseException) -> tuple[str, int]:
    """One line that says what failed and how to mend it, and the exit code."""
    from solvers.errors import ScimlError

    match error:
        case ScimlError():
            return str(error), FAILURE
        case KeyboardInterrupt():
            return str(error) or _attention.words, 128 + getattr(error, "signal_number", INTERRUPTED - 128)
        case MemoryError():
            return "out of memory: use fewer samples, a smaller grid or smaller batches.", FAILURE
        case RuntimeError() if "memory" in str(error).lower():
            return "out of memory: use fewer samples, a smaller grid or smaller batches.", FAILURE
        case OSError(errno=errno.ENOSPC | errno.EDQUOT):
            return f"{error.filename or 'writing'}: the disk is full: free some space and try again.", FAILURE
        case OSError():
            return f"{error.filename or 'system'}: {error.strerror or error}.", FAILURE
        case _:
            hint = "this is a defect of sciml; SCIML_DEBUG=1 shows where"
            return f"{type(error).__name__}: {error} ({hint}).", 1


def _complain(words: str, code: int) -> int:
    print(f"sciml: {' '.join(words.split())}", file=sys.stderr)
    return code


def _debugging() -> bool:
    return os.environ.get("SCIML_DEBUG") == "1"


@app.callback(invoke_without_command=True)
def options(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="show the version and exit")] = False,
) -> None:
    """Learn the solution operator of a partial differential equation, and check every answer against the equation."""
    if version:
        print(__version__)
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())


app.command(name="list")(guarded(list_installed))
app.command()(guarded(generate))
app.command()(guarded(run))
app.command()(guarded(evaluate))
app.command()(guarded(predict))
app.command()(guarded(invert))
app.command()(guarded(compare))
app.command()(guarded(report))
app.command()(guarded(solve))

mesh_app = typer.Typer(name="mesh", help="Look at, check, convert and draw mesh files.", no_args_is_help=True)
for command in (mesh.info, mesh.check, mesh.convert, mesh.plot):
    mesh_app.command()(guarded(command))
app.add_typer(mesh_app)

simulate_app = typer.Typer(
    name="simulate", help="Run a flow, film it, and say where the time went.", no_args_is_help=True
)
simulate_app.command()(guarded(simulate.smoke))
app.add_typer(simulate_app)
