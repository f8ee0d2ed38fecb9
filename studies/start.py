"""Where to start: random reflections against the data's principal axes."""

from studies.study import Study

STUDY = Study(
    "start",
    "Where should the rotations start?",
    {"principal axes": "", "random": "--init random", "random, not annealed": "--init random --anneal 0"},
    levels=True,
    conclusion="""\
**From the principal axes.** Three epochs from random reflections do not reach the MSE that one epoch from the data's
axes does. The difference is largest with 64 numbers kept (three times the MSE): the random start loses in the linear
blocks what it could have kept. Annealing helps it a little.""",
)
