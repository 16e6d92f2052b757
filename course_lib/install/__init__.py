"""Installing the course: what `python course.py` does before it hands over to the `course` command.

Standard library only, since nothing else is there yet. `machine` finds out where we are, `plan` decides
which commands install the course there (a pure function, tested for every system), `environment` keeps
`.venv` and runs them, `trouble` turns what can go wrong into a sentence that says what to do.
"""

from course_lib.install.environment import ROOT, Environment, hand_over, main
from course_lib.install.machine import Machine, look_around
from course_lib.install.plan import Step, make_plan, pip_settings
from course_lib.install.trouble import Trouble, explain

__all__ = [
    "ROOT",
    "Environment",
    "Machine",
    "Step",
    "Trouble",
    "explain",
    "hand_over",
    "look_around",
    "main",
    "make_plan",
    "pip_settings",
]
