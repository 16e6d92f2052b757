"""Release, check, pack, grade: what happens to an exercise between its author and a mark.

`release` makes the students' notebook of the instructor's; `students` checks and packs; `batch` grades a
folder: `intake` reads what was handed in, `assignment` puts answers between the release's own test cells,
`execute` runs them in a process of their own, `gradebook` keeps the marks in nbgrader's database, and
`report` tells instructor and student. nbgrader (extra `grade`) is imported by `release` and `gradebook` only.
"""
