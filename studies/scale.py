"""The missing ablation: what the couplings may scale, and which noise the images carry."""

from studies.study import Study

STUDY = Study(
    "scale",
    "What may scale, and how noisy should the images be?",
    {
        "default: contractive, a = 0.5, noise ε₀²": "",
        "additive": "--scale additive",
        "contractive, a = 0.25": "--contraction 0.25",
        "contractive, a = 0.75": "--contraction 0.75",
        "contractive, a = 1": "--contraction 1",
        "only the linear blocks scale": "+only_linear_scale",
        "only the convolutional blocks scale": "+only_convolutions_scale",
        "hidden layers of spectral norm 1": "+spectral_norm",
        "affine, free to expand": "--scale affine",
        "dequantisation only": "--noise 0",
        "noise ε₀²/4": "--noise 0.0025",
        "noise 4 ε₀²": "--noise 0.04",
        "affine, dequantisation only": "--scale affine --noise 0 --anneal 0",
        "additive, dequantisation only": "--scale additive --noise 0 --anneal 0",
    },
)

if __name__ == "__main__":
    STUDY.run()
