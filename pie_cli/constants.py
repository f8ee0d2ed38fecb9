"""The paper's constants (arXiv 2111.00619), each with its section, and how many images its figures show."""

EPS2_VALUES = (0.01, 0.1, 1.0)  # section 5.1: ε₀² of the three columns of Fig. 7
LATENT_DIM = 10  # section 5.1
SHARPNESS_LATENT_DIM = 8  # section 5.2
SHARPNESS_SAMPLES = 10_000  # section 5.2
TABLE_1 = {"true": 0.18, "vae": 0.08, "wae": 0.07, "pie": 0.49}  # section 5.2
NARROW_VARIANCE = 0.5  # Fig. 7c: samples at N(0, 0.5), read as a variance
NARROW_STD = 0.5  # and as a standard deviation

COLUMNS = 10  # images in a row of Fig. 7 and 8
RECONSTRUCTIONS = 20  # Fig. 7a: two rows of originals, each above its reconstructions
SAMPLES = 40  # Fig. 7b, 7c
SHEET = 400  # Fig. 9
INTERPOLATIONS = 4  # Fig. 7d; Fig. 8 has more
MANY_INTERPOLATIONS = 20  # Fig. 8
