"""From the paper's text to our recipe, one step after the other; at the tightest and the loosest ε₀²."""

from studies.study import Study

_STEPS = {
    "start from principal axes": "--init pca",
    "noise of variance ε₀²": "--noise {eps2}",
    "ε₀² and the noise annealed": "--anneal 0.6",
    "bounded contraction": "--scale contractive",
    "our sizes of networks": "--no-equal-widths",
}


def _ladder(eps2: str) -> dict[str, str]:
    """Return the rungs at an ε₀², each with the steps before it."""
    words = f"--recipe letter --eps2 {eps2}"
    rungs = {f"the letter, ε₀² = {eps2}": words}
    for step, more in _STEPS.items():
        words += f" {more.format(eps2=eps2)}"
        rungs[f"+ {step}, ε₀² = {eps2}"] = words
    return {**rungs, f"+ bounded gradient: our recipe, ε₀² = {eps2}": f"--recipe stable --eps2 {eps2}"}


STUDY = Study(
    "ladder",
    "Which step from the paper's text to our recipe does what?",
    _ladder("0.01") | _ladder("1"),
)
