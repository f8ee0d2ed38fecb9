"""Equal care for PIE and its opponents: as many trials for each, of two epochs, of learning rate and width."""

from studies.study import Study

OPPONENTS = {
    "VAE": "--model vae",
    "VAE, Gaussian likelihood": "--model vae --likelihood gaussian",
    "WAE, λ = 10": "--model wae",
    "WAE, λ = 200": "--model wae --mmd-weight 200",
    "autoencoder": "--model rae --latent-weight 0 --decoder-weight 0",
    "RAE": "--model rae",
}
# The second width costs the opponents four times the time, and leaves a PIE with about as few parameters as they have.
_BASELINE_TRIALS = [(width, lr) for width in (48, 96) for lr in ("5e-3", "1e-2", "2e-2")]
_PIE_TRIALS = [(width, lr) for width in (512, 96) for lr in ("1e-3", "2e-3", "4e-3")]
TRIALS = len(_PIE_TRIALS)
assert len(_BASELINE_TRIALS) == TRIALS

STUDY = Study(
    "trials",
    "Which learning rate and width suit each model?",
    {
        **{
            f"PIE, width {width}, learning rate {lr}": f"--dense-width {width} --lr {lr} --epochs 2"
            for width, lr in _PIE_TRIALS
        },
        **{
            f"{name}, width {width}, learning rate {lr}": f"{words} --width {width} --lr {lr} --epochs 2"
            for name, words in OPPONENTS.items()
            for width, lr in _BASELINE_TRIALS
        },
    },
    brief=True,
    conclusion="""\
**Every opponent likes a rate of 2e-2, ten times PIE's (the wide Bernoulli VAE 1e-2 as well); twice the width gains 1
to 5 %, and nothing for the Bernoulli VAE.** The best of each goes into the table of opponents. For the opponents, and
for the narrow PIE, the best rate is the largest that was tried, so they might gain from a larger one; PIE's is in the
middle. Two epochs rank the error from z alone and say nothing of samples.""",
)
