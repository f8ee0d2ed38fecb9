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
)
