"""The paper's constants (arXiv 2111.00619), each with its section, and ours for its training and figures."""

from __future__ import annotations

EPS2_VALUES = (0.01, 0.1, 1.0)  # section 5.1: ε₀² of the three columns of Fig. 7
LATENT_DIM = 10  # section 5.1
SHARPNESS_LATENT_DIM = 8  # section 5.2
SHARPNESS_SAMPLES = 10_000  # section 5.2
TABLE_1 = {"true": 0.18, "vae": 0.08, "wae": 0.07, "pie": 0.49}  # section 5.2
NARROW_VARIANCE = 0.5  # Fig. 7c: samples at N(0, 0.5)

MODELS = ("pie", "vae", "wae")
LARGEST_VARIANCE = 1e6  # of noise and residuals of images in [−1, 1]; none above makes sense, and floats have an end
IMAGE_SHAPE = (1, 28, 28)  # of MNIST, and of the digits once resized

DEFAULT_EPOCHS = 10  # fewer is called quick, everywhere that the run shows
PROFILE_EPOCHS = {"quick": 1, "paper": DEFAULT_EPOCHS}
LEARNING_RATES = {"pie": 2e-3, "vae": 1e-2, "wae": 1e-2}  # peaks of the one-cycle schedule, by validation MSE
ANNEAL = 0.6  # share of PIE's steps in which ε₀² and the noise reach their final values
# Of the runs outside the paper's loss that a full reproduction has beside the others (docs/EXPERIMENTS.md): of 1, 10
# and 100 the weight with the best validation MSE and 5-NN accuracy; and one that is 0 where annealing ends.
RECONSTRUCTION_WEIGHT = 100
RECONSTRUCTION_START = 10
COLUMNS = 10  # images in a row of Fig. 7 and 8
RECONSTRUCTIONS = 20  # Fig. 7a: two rows of originals, each above its reconstructions
SAMPLES = 40  # Fig. 7b, 7c
SHEET = 400  # Fig. 9
INTERPOLATIONS = 4  # Fig. 7d; Fig. 8 has more
MANY_INTERPOLATIONS = 20  # Fig. 8
