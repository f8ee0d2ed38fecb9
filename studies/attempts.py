"""What was tried for the goals that the default misses by little: the projected MSE and the samples' distance."""

from studies.study import Study

STUDY = Study(
    "attempts",
    "What would bring the missed goals?",
    {
        "the default": "--recipe stable --epochs 10",
        "the networks of g twice as wide": "+small_couplings --dense-width 1024 --conv-width 32 --epochs 10",
        "all networks a quarter wider": "--dense-width 640 --conv-width 20 --epochs 10",
        "both: g's two and a half times, all others a quarter wider": "+small_couplings --dense-width 1280 "
        "--conv-width 40 --epochs 10",
        "noise that ends at ε₀²/4": "--noise 0.0025 --epochs 10",
    },
)
