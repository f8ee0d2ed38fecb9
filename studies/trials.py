"""Equal care for PIE and its opponents: the same number of trials, of two epochs each, of learning rate and width."""

from studies.study import Study

# The second width gives each about as many parameters as the other side has: millions, or a few hundred thousand.
_OPPONENTS = {
    "VAE": "--model vae",
    "VAE, Gaussian likelihood": "--model vae --likelihood gaussian",
    "WAE, λ = 10": "--model wae",
    "WAE, λ = 200": "--model wae --mmd-weight 200",
    "autoencoder": "--model rae --latent-weight 0 --decoder-weight 0",
    "RAE": "--model rae",
}
_BASELINE_TRIALS = [(width, lr) for width in (48, 220) for lr in ("5e-3", "1e-2", "2e-2")]
_PIE_TRIALS = [(width, lr) for width in (512, 96) for lr in ("1e-3", "2e-3", "4e-3")]

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
            for name, words in _OPPONENTS.items()
            for width, lr in _BASELINE_TRIALS
        },
    },
)
