"""PIE beside its opponents, each with the width and the learning rate that `trials` found best for it."""

from typing import Any

from pie_cli.config.run import FULL_EPOCHS
from studies.study import Study
from studies.variant import PCA

# Settings of `run_config`. The widths of the last rows give as many parameters as the other side has.
OPPONENTS: dict[str, dict[str, Any]] = {
    "PIE": {},
}


def _options(settings: dict[str, Any]) -> str:
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in settings.items())


STUDY = Study(
    "opponents",
    "How good are PIE's opponents, with equal care?",
    {
        "PCA": PCA,
        **{name: _options({**settings, "epochs": FULL_EPOCHS}) for name, settings in OPPONENTS.items()},
    },
)
