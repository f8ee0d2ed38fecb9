"""What three epochs suggest, for the ten of a full training: do the differences last?"""

from studies.study import Study

STUDY = Study(
    "ten",
    "What is left after ten epochs?",
    {
        "default: last block of 4 features": "",
        "annealed over all steps": "--anneal 1",
        "batch 64, learning rate 1.4e-3": "--batch-size 64 --lr 1.4e-3",
        "learning rate 4e-3": "--lr 4e-3",
        "last block of 16 features": "+last_block_16",
        "last block of 64 features": "+last_block_64",
        "last block of 16 features that contracts": "+last_block_16 +last_block_contracts",
        "last block of 16 features, a = 0.25": "+last_block_16 --contraction 0.25",
        "last block of 64 features, networks of s and b half as wide": "+last_block_64 +small_couplings",
    },
    epochs=10,
)

if __name__ == "__main__":
    STUDY.run()
