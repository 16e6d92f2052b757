#!/usr/bin/env python3
"""The front door of the course.

    python course.py WORD ...        (to begin: python course.py lab)

    lab       open the course in JupyterLab (the first time, this installs it)
    doctor    look at what is installed, and say what is missing
    check     run the public checks of an exercise on your notebook
    pack      write the one file to hand in
    renew     take the course's present version of a notebook; yours is kept beside it

    release   (instructors) generate exercises/ from solutions/
    bundle    (instructors) copy the course without solutions and tests
    grade     (instructors) grade a folder of submissions

    test      (maintainers) run the whole test suite
    bench     (maintainers) measure, beside other libraries
    lock      (maintainers) write constraints.lock anew
    version   print the version of the course library

`python course.py WORD --help` tells what may follow a word.
Needs Python 3.11 or newer and nothing else: the first start makes a folder .venv beside this file and
installs everything into it; removing that folder undoes it. Your own notebooks live in work/.
"""

# This file must parse on any old Python, so that it can say that the Python is too old.
# The work is in course_lib/install, which also uses nothing but the standard library.
import os
import sys

NEEDED = (3, 11)


def too_old():
    """What to say when this Python is too old, with the name of a newer one if there is one at hand."""
    newer = None
    for minor in range(20, NEEDED[1] - 1, -1):
        for folder in os.environ.get("PATH", "").split(os.pathsep):
            if newer is None and os.path.exists(os.path.join(folder, "python3.%d" % minor)):
                newer = "python3.%d" % minor
    return "The course needs Python %d.%d or newer; this is %d.%d (%s).\n%s" % (
        NEEDED
        + tuple(sys.version_info[:2])
        + (sys.executable,)
        + (
            "Start it with the newer one you have:  %s course.py %s" % (newer, " ".join(sys.argv[1:]))
            if newer
            else "Install a newer one (https://www.python.org/downloads/) and start the course with it.",
        )
    )


if __name__ == "__main__":
    if sys.version_info < NEEDED:
        sys.exit(too_old())
    from course_lib.install import main

    sys.exit(main(sys.argv[1:], __doc__))
