"""What the paper's text leaves open, each decided another way once; at the tightest and the loosest ε₀²."""

from studies.study import Study

_VARIANTS = {
    "the letter": "",
    "s = exp(tanh t) instead of exp(½ tanh t)": "+scale_tanh",
    "s = exp(2 tanh t)": "+scale_2_tanh",
    "s = exp t": "+scale_exp",
    "images in [0, 1] instead of [−1, 1]": "+unit_range",
    "logits of the pixels": "+logits",
    "g = 0 (at ε₀² = 1 section 3.4's model, multi-scale RealNVP)": "--no-g",
    "images not dequantised": "--no-dequantise",
    "constant learning rate": "+constant_rate",
    "reflections of n, n − 1, n − 2 features": "+nested_reflections",
    "quarters of the image instead of a checkerboard": "+quarters",
}

STUDY = Study(
    "letter",
    "What does the paper's text leave open, and does it matter?",
    {
        f"{variant}, ε₀² = {eps2}": f"--recipe letter --eps2 {eps2} {words}".strip()
        for eps2 in ("0.01", "1")
        for variant, words in _VARIANTS.items()
    },
)
