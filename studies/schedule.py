"""How to spend the steps: their number, learning rate, batch, annealing, averaging."""

from studies.study import Study

STUDY = Study(
    "schedule",
    "How should the steps be spent?",
    {
        "default": "",
        "not annealed": "--anneal 0",
        "annealed over all steps": "--anneal 1",
        "learning rate 1e-3": "--lr 1e-3",
        "learning rate 4e-3": "--lr 4e-3",
        "batch 64, learning rate 1.4e-3": "--batch-size 64 --lr 1.4e-3",
        "batch 256, learning rate 2.8e-3": "--batch-size 256 --lr 2.8e-3",
        "gradient clipped at 0.1": "--grad-clip 0.1",
        "gradient clipped at 10": "--grad-clip 10",
        "cosine, 2 % warm-up": "+cosine",
        "weights averaged over 100 steps": "+average_100",
        "weights averaged over 500 steps": "+average_500",
        "6 epochs": "--epochs 6",
        "16 epochs": "--epochs 16",
        "40 epochs": "--epochs 40",
    },
)
