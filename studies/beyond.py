"""Options outside the paper's loss, one at a time: how much each buys."""

from studies.study import Study

STUDY = Study(
    "beyond",
    "What do options outside the paper's loss buy?",
    {
        "the paper's loss": "",
        "reconstruction penalty, weight 1": "--reconstruction 1",
        "reconstruction penalty, weight 10": "--reconstruction 10",
        "reconstruction penalty, weight 100": "--reconstruction 100",
        "isometry penalty, weight 0.1": "+isometry",
        "ε₀² learned, not annealed": "--learn-eps2",
        "the paper's loss, not annealed": "--anneal 0",
    },
)
