"""Recipes: named sets of defaults for a PIE. A setting that is given beside one wins."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

Recipe = Literal["stable", "letter", "warm"]


@dataclass(frozen=True)
class Defaults:
    """What a recipe has in the place of the defaults."""

    about: str  # what it is, in a phrase
    settings: Mapping[str, Any] = field(default_factory=dict)  # values of `PIEConfig` and `TrainingConfig` by name


NEVER = 1e9  # a bound on the gradient's norm that never binds

RECIPES: dict[Recipe, Defaults] = {
    "stable": Defaults("what learns: the defaults"),
    # Section 4 and 5.1 name affine couplings, reflections, one kind of linear block and Adam, and nothing of noise,
    # annealing, contraction, a start from data or a bound on the gradient. Dequantisation stays: without it there is no
    # density to maximise.
    "letter": Defaults(
        "the paper's text and nothing else",
        {"scale": "affine", "equal_widths": True, "init": "random", "noise": 0.0, "anneal": 0.0, "grad_clip": NEVER},
    ),
    # Of weights 1, 10 and 100, the one with samples as real as the paper's loss alone gives (docs/EXPERIMENTS.md).
    "warm": Defaults("stable, from a start that reconstructs", {"reconstruction_start": 10.0}),
}
assert set(RECIPES) == set(get_args(Recipe))
