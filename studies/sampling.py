"""What helps samples: ε₀², and priors fitted after training."""

from studies.study import Study

STUDY = Study(
    "sampling",
    "What helps samples from N(0, 1)?",
    {
        "ε₀² = 0.01": "",
        "ε₀² = 0.001": "--eps2 0.001",
        "ε₀² = 0.03": "--eps2 0.03",
        "ε₀² = 0.1": "--eps2 0.1",
        "ε₀² = 1": "--eps2 1",
        "ε₀² = 0.1, noise 0.01": "--eps2 0.1 --noise 0.01",
        "ε₀² = 1, noise 0.01": "--eps2 1 --noise 0.01",
        "VAE": "--model vae",
        "WAE, λ = 10": "--model wae",
        "WAE, λ = 200": "--model wae --mmd-weight 200",
        "VAE, twice as wide": "--model vae --width 96",
        "WAE, twice as wide": "--model wae --width 96",
    },
    conclusion="""\
**Samples from N(0, 1) are best where ε₀² is that of the residuals.** 0.01 and 0.03 are equal (a Fréchet distance of
50); 0.001 leaves codes too narrow (a deviation of 0.53) and 0.1 and 1 blur. With noise of 0.01, ε₀² = 0.1 samples as
well as ε₀² = 0.01 and reconstructs worse; ε₀² = 1 does neither: most of what ε₀² does to samples at its larger
values, the noise does. A mixture fitted to z after the training improves all rows but that of ε₀² = 0.1 with less
noise; a single Gaussian makes PIE's samples worse, VAE's and WAE's (λ = 10) better. VAE and WAE reconstruct better
and sample three to four times as far from the images, with a fitted mixture twice; with twice the width they gain 3
to 4 % of MSE and up to a sixth of the distance. WAE with λ = 200, what its authors' code amounts to, reconstructs no
better than PIE in so few epochs; later and with its best rate it does (the opponents' table).""",
)
