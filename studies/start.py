"""Where to start: random reflections against the data's principal axes."""

from studies.study import Study

STUDY = Study(
    "start",
    "Where should the rotations start?",
    {"principal axes": "", "random": "--init random", "random, not annealed": "--init random --anneal 0"},
    levels=True,
)
