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
        "WAE, λ = 200": "--model wae +wae_200",
        "VAE, twice as wide": "--model vae +wide_baselines",
        "WAE, twice as wide": "--model wae +wide_baselines",
    },
)
