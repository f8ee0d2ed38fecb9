"""Ideas for a better code that leave the paper's loss as it is, or nearly so; one row or two of each."""

from studies.study import Study

STUDY = Study(
    "ideas",
    "What else could bring the encoder nearer to the manifold?",
    {
        "the default": "",
        "noise: 4 times its variance in axes 11 to 64": "+noise_4_between",
        "noise: 16 times its variance in axes 11 to 64": "+noise_16_between",
        "noise that ends at ε₀²/4": "--noise 0.0025",
        "noise that ends at ε₀²/16": "--noise 0.000625",
        "networks that are told each image's noise": "+noise_level",
        "fibres of z orthogonal to the manifold, weight 0.3": "+upright_fibres",
        "the same, weight 0.03": "+gently_upright_fibres",
        "warm": "--recipe warm",
        "warm, then 40 epochs more of the paper's loss": "--recipe warm --epochs 46 --anneal 0.13",
    },
    levels=True,
)
