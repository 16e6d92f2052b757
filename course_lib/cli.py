"""The `course` command: one thin function per word, everything heavy imported inside it.

Students need `lab`, `doctor`, `check` and `pack`; instructors `release`, `bundle` and `grade`;
maintainers `test` and `lock`. A function here parses words and prints; the work is done in a module of its
own, so that it can be tested (and called from a notebook) without a command line.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

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


@app.command(context_settings=PASS_ON)
def lab(context: typer.Context) -> None:
    """Open the course in JupyterLab, on your own copies in work/. Options of `jupyter lab` are passed on."""
    from course_lib import lab, workspace
    from course_lib.install import hand_over

    wanted, words = lab.wanted_port(context.args)
    for line in workspace.report(workspace.refresh()):
        typer.echo(f"course: {line}")
    port = lab.free_port(wanted)
    if port != wanted:
        typer.echo(f"course: port {wanted} is in use (another JupyterLab?), so this one takes {port}")
    hand_over(lab.command(workspace.ROOT, port, words))


@app.command()
def renew(name: str) -> None:
    """Replace your copy of a file by the course's present one; yours is kept beside it."""
    from course_lib import workspace

    name = workspace.full_name(name)
    aside = workspace.renew(name)
    typer.echo(f"course: work/{name} is new; your version is now {aside.name}")


@app.command()
def doctor() -> None:
    """Look at what is installed; fails only if a student could not run the course."""
    from rich.console import Console

    from course_lib import doctor

    checked = doctor.rows()
    Console().print(doctor.table(checked))
    raise typer.Exit(0 if doctor.usable(checked) else 1)


# --- students: exercises (check, pack) --------------------------------------------------------------

NOTEBOOK = typer.Argument(help="your notebook; by default the copy in work/")


@app.command()
def check(name: str, notebook: Annotated[Path | None, NOTEBOOK] = None) -> None:
    """Run an exercise's public checks on your notebook; fails unless every task passes."""
    from rich.console import Console

    from course_lib.grading import show, students

    result = students.check(name, notebook)
    typer.echo(f"course: checked {result.path} as it was last saved")
    Console().print(show.checked(result))
    for note in result.notes:
        typer.echo(f"course: {note}")
    raise typer.Exit(0 if result.points == result.assignment.max_score else 1)


@app.command()
def pack(name: str, notebook: Annotated[Path | None, NOTEBOOK] = None, out: Path | None = None) -> None:
    """Validate your notebook and write the one file to hand in."""
    from course_lib.grading import students

    packed = students.pack(name, notebook, out=out)
    for task in packed.untouched:
        typer.echo(f"course: task {task} still holds the empty answer")
    typer.echo(f"course: hand in {packed.path} ({packed.size / 1024:.0f} kB)")


# --- instructors: release, bundle, grade ------------------------------------------------------------


@app.command()
def release(
    names: Annotated[list[str] | None, typer.Argument(help="problem sets; by default all")] = None,
    hidden_seed: Annotated[int | None, typer.Option(help="draw the hidden cases from this number")] = None,
) -> None:
    """Generate exercises/ from solutions/; keep your own seed for the hidden cases."""
    from course_lib.grading import release

    release.need_solutions()
    if hidden_seed is not None:
        typer.echo(f"course: hidden seed kept in {release.keep_hidden_seed(hidden_seed)}: never publish it")
    for path in release.release(names):
        typer.echo(f"course: wrote {path}")


@app.command()
def bundle(students: Annotated[Path, typer.Option(help="a new folder for the students' course")]) -> None:
    """Copy the course without solutions and tests."""
    from course_lib.grading.students import bundle

    typer.echo(f"course: {bundle(students)} files in {students}, without solutions and tests")


@app.command()
def grade(
    name: str,
    submissions: Annotated[Path, typer.Option(help="folder of student_id/*.ipynb or student_id.zip")],
    out: Annotated[Path, typer.Option(help="folder for grades.csv, report.html, feedback, gradebook.db")],
    jobs: Annotated[int, typer.Option(help="submissions at a time")] = 1,
    timeout: Annotated[float, typer.Option(help="seconds for one cell")] = 60,
    memory: Annotated[int, typer.Option(help="MB that one notebook may allocate")] = 3000,
) -> None:
    """Grade a folder of submissions. Ends with 0 when the batch completed, whatever the submissions did."""
    from rich.console import Console

    from course_lib.grading import batch, show
    from course_lib.grading.execute import Limits

    limits = Limits(cell_s=timeout, total_s=10 * timeout, memory_mb=memory)
    with show.progress() as told:
        rows = batch.grade(name, submissions, out, jobs=jobs, limits=limits, told=told)
    Console().print(show.graded(rows))
    typer.echo(f"course: {out / 'grades.csv'}, {out / 'report.html'}, {out / 'feedback'}")


# --- maintainers: test, lock, bench -----------------------------------------------------------------


@app.command(context_settings=PASS_ON)
def test(context: typer.Context) -> None:
    """Run the whole suite: unit tests, and every notebook. Words are passed on to pytest."""
    import os

    from course_lib.install import ROOT, hand_over

    if not (ROOT / "tests").is_dir():
        raise FileNotFoundError(
            "this copy of the course was made for students and has no tests: clone the repository to run them"
        )
    os.chdir(ROOT)
    hand_over(
        [sys.executable, "-m", "pytest", "-n", "2", *context.args], {**os.environ, "OMP_NUM_THREADS": "1"}
    )


@app.command(context_settings=PASS_ON)
def bench(name: str, context: typer.Context) -> None:
    """Measure: run benchmarks/NAME.py, which prints one table. Words after the name are passed on."""
    from course_lib.install import ROOT, hand_over

    script = ROOT / "benchmarks" / f"{name}.py"
    if not script.is_file():
        known = ", ".join(sorted(path.stem for path in script.parent.glob("*.py")))
        raise FileNotFoundError(f"there is no benchmark {name!r}; there is {known}")
    hand_over([sys.executable, str(script), *context.args])


@app.command("lock")
def relock(upgrade: Annotated[bool, typer.Option(help="take the newest versions that fit")] = False) -> None:
    """Write constraints.lock anew from pyproject.toml."""
    from course_lib import lock

    typer.echo(f"course: {lock.write(upgrade=upgrade)} packages in {lock.NAME}")


def main() -> None:
    """Entry point of `course`: bad input becomes one line that says what to do, not a traceback."""
    try:
        app(prog_name="course")
    except (ValueError, OSError) as error:
        typer.secho(f"course: {_told(error)}", fg="red", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)


def _told(error: ValueError | OSError) -> str:
    """The message; of an error of the system without its number, which says nothing to a reader."""
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


if __name__ == "__main__":
    main()
