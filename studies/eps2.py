"""The sentence below Eq. 17: the approximation's error depends only on ε."""

from studies.study import Study

STUDY = Study(
    "eps2",
    "Does the error depend on ε₀² alone?",
    {
        f"{recipe}, ε₀² = {eps2}": f"--recipe {recipe} --eps2 {eps2}"
        for recipe in ("letter", "stable")
        for eps2 in ("0.001", "0.003", "0.01", "0.03", "0.1", "0.3", "1")
    },
    conclusion="""\
**The residuals follow ε₀²; the error from z alone does not.** With `stable`, r²/ε₀² of images as in training is 0.91
to 0.98 at every value, over a factor of a thousand. The MSE is least at 0.01 (0.0175), changes by 2 % up to 0.03, and
is larger on both sides: 0.0197 at 0.001 and 0.0277 at 1. So "depends only on ε" is true of r, whose scale F chooses,
and not of the pixels. The MSE after projection has its least value at 0.01 too (0.0115). With `letter` r²/ε₀² falls
from 0.99 at 0.001 to 0.33 at 1, and the MSE grows from 0.043 at 0.003 to 0.090, but is 0.062 at 0.001. There is one
seed of each.""",
)
