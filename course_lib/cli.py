"""The `course` command: one thin function per word, everything heavy imported inside it.

Students need `lab`, `doctor`, `check` and `pack`; instructors `release`, `bundle` and `grade`;
maintainers `test` and `lock`. A function here parses words and prints; the work is done in a module of its
own, so that it can be tested (and called from a notebook) without a command line.
"""

from __future__ import annotations

import sys

import typer

import course_lib

PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    name="course",
    help="Generative Models on Energy Landscapes: open it, check it, grade it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root() -> None:
    pass


@app.command()
def version() -> None:
    """Print the version of the course library."""
    typer.echo(course_lib.__version__)


# --- students: exercises (check, pack) --------------------------------------------------------------


# --- instructors: release, bundle, grade ------------------------------------------------------------


# --- maintainers: bench, lock -----------------------------------------------------------------------


def main() -> None:
    """Entry point of `course`: bad input becomes one line that says what to do, not a traceback."""
    try:
        app()
    except (ValueError, FileNotFoundError) as error:
        typer.secho(f"course: {error}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
