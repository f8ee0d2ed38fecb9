"""What the criterion "accepted as a digit" says of images whose answer is known: `python -m studies.accepted`.

The table is in docs/CRITERIA.md. Validation images, and images made of them, with seed 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from pie_cli.data.load import load_dataset
from pie_cli.metrics.inference import clean
from pie_cli.metrics.realism import Panel
from studies.study import write_measured

CLASSIFIERS = Path("results")
COLUMNS = {
    "confidence": "probability of the likeliest digit",
    "precision": "in a neighbourhood",
    "accepted": "accepted",
    "recall": "recall",
}


def images_of_known_answer(real: Tensor, panel: Panel) -> dict[str, Tensor]:
    """Return real images and made-up ones, as many, by what they are called."""
    generator = torch.Generator().manual_seed(0)
    other = real[torch.randperm(len(real), generator=generator)]
    sure = real[panel.judges[0].accepts(real)][:1]
    return {
        "real ones that were not trained on": real,
        "two digits mixed": (real + other) / 2,
        "left halves of real ones": torch.cat([real[..., :14], torch.zeros_like(real[..., 14:])], 3),
        "uniform noise": torch.rand(real.shape, generator=generator),
        "always the same digit": sure.expand_as(real),
    }


def main() -> None:
    """Write the table."""
    parser = argparse.ArgumentParser(prog="python -m studies.accepted", description="Measure the criterion.")
    parser.add_argument("--data-dir", type=Path)
    torch.set_num_threads(1)
    dataset = load_dataset("mnist", parser.parse_args().data_dir)
    panel = Panel.load_or_train(CLASSIFIERS, dataset, print)
    found = {name: panel.realism(of) for name, of in images_of_known_answer(clean(dataset.validation), panel).items()}
    rows = [{"images": name, **{title: of[key] for key, title in COLUMNS.items()}} for name, of in found.items()]
    write_measured("accepted", pd.DataFrame(rows), f"{len(dataset.validation):,} validation images", digits=3)


if __name__ == "__main__":
    main()
