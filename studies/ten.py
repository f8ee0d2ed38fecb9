"""What three epochs suggest, for the ten of a full training: do the differences last?"""

from studies.study import Study

STUDY = Study(
    "ten",
    "What is left after ten epochs?",
    {
        "default": "",
        "annealed over all steps": "--anneal 1",
        "batch 64, learning rate 1.4e-3": "--batch-size 64 --lr 1.4e-3",
        "learning rate 4e-3": "--lr 4e-3",
        "a = 0.25": "--contraction 0.25",
        "the last block contracts too": "+last_block_contracts",
        "last block of 16 features": "+last_block_16",
        "last block of 64 features": "+last_block_64",
        "networks of s and b half as wide": "+small_couplings",
    },
    epochs=10,
)
