"""The missing ablation: what the couplings may scale, in which blocks, and which noise the images carry."""

from studies.study import Study

STUDY = Study(
    "scale",
    "What may scale, and how noisy should the images be?",
    {
        "default: the convolutional blocks contract, a = 0.5": "",
        "the same, seed 1": "--seed 1",
        "the same, a = 0.25": "--contraction 0.25",
        "the same, a = 0.25, seed 1": "--contraction 0.25 --seed 1",
        "the same, a = 1": "--contraction 1",
        "only the linear blocks contract, a = 0.5": "--contraction 0 --linear-contraction 0.5",
        "both, a = 0.25": "--contraction 0.25 --linear-contraction 0.25",
        "both, a = 0.5": "--linear-contraction 0.5",
        "both, a = 0.75": "--contraction 0.75 --linear-contraction 0.75",
        "both, a = 1": "--contraction 1 --linear-contraction 1",
        "additive": "--scale additive",
        "affine, free to expand": "--scale affine",
        "hidden layers of spectral norm 1": "+spectral_norm",
        "dequantisation only": "--noise 0",
        "noise ε₀²/4": "--noise 0.0025",
        "noise 4 ε₀²": "--noise 0.04",
        "noise 4 ε₀² outside the 64 leading principal axes": "+noise_4_outside",
        "additive, noise 16 ε₀² outside them": "+noise_16_outside --scale additive",
        "additive, noise 64 ε₀² outside them, not annealed": "+noise_64_outside --scale additive --anneal 0",
        "affine, dequantisation only": "--scale affine --noise 0 --anneal 0",
        "additive, dequantisation only": "--scale additive --noise 0 --anneal 0",
    },
    conclusion="""\
**Expansion on images without noise breaks a PIE; contraction or noise repairs it.** Affine couplings on images that
are only dequantised have by far the best likelihood (3.9 bits per dimension, bought by stretching the empty
background) and the worst MSE: 0.028, at a Fréchet distance of 222. Noise of variance ε₀², annealed with it, brings
them to 0.020 and 58; contraction with ε₀² annealed, without the noise, to 0.019 and 49; both together, the default,
to 0.017 and 49. Additive couplings reconstruct as well as contractive ones (0.018), but leave codes too wide (1.4)
for samples from N(0, 1). Two seeds of the default differ by 5 % in MSE and by 8 % in the distance, so smaller
differences are none: four times the noise costs real samples (61) and gains nothing that is sure in MSE, a quarter of
it changes nothing. Noise stays at ε₀², the value that Eq. 12 names. The bound a of the convolutional blocks is no
matter of MSE, but likelihood and real samples grow with it. Contracting only the linear blocks doubles the Fréchet
distance, contracting both separates the digits less.

**Being nearer to an isometry outside the leading axes does not help.** Spectral norm, which keeps F nearer to one,
buys nothing. Noise that is larger where images hardly vary makes it dear to shrink the residuals by stretching F
there: with additive couplings z is then as wide as the pixels have it, or wider (a deviation of 3 and 6), and the
residuals are as large as that noise; yet the MSE is 0.017 and 0.018. These rows leave the axes 11 to 64 as they are,
where most of the MSE is lost.""",
)
