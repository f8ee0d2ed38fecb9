"""Variants that are not options of the program: the word "+name" stands for the change of that name.

A change takes an experiment and returns another, so several words can be combined. A variant that lost is kept only
here, so that its row can be measured again.
"""

from studies.changes.experiment import Change, Experiment
from studies.changes.models import (
    gently_upright_fibres,
    isometry,
    logits,
    nested_reflections,
    quarters,
    scale_2_tanh,
    scale_exp,
    scale_tanh,
    unit_range,
    upright_fibres,
)
from studies.changes.networks import (
    large_last_block,
    last_block_16,
    last_block_64,
    residual,
    silu,
    small_couplings,
    spectral_norm,
)
from studies.changes.training import (
    average_100,
    average_500,
    constant_rate,
    cosine,
    noise_4_between,
    noise_4_outside,
    noise_16_between,
    noise_16_outside,
    noise_64_outside,
    noise_level,
)

__all__ = [
    "Change",
    "Experiment",
    "average_100",
    "average_500",
    "constant_rate",
    "cosine",
    "gently_upright_fibres",
    "isometry",
    "large_last_block",
    "last_block_16",
    "last_block_64",
    "logits",
    "nested_reflections",
    "noise_4_between",
    "noise_4_outside",
    "noise_16_between",
    "noise_16_outside",
    "noise_64_outside",
    "noise_level",
    "quarters",
    "residual",
    "scale_2_tanh",
    "scale_exp",
    "scale_tanh",
    "silu",
    "small_couplings",
    "spectral_norm",
    "unit_range",
    "upright_fibres",
]
