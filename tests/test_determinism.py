"""The same seed, machine and versions: the same files, byte for byte; and memory that does not grow with time."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import SMALL, run

NAME = "pie-digits-d4-eps0.01-seed0"
COMMANDS = [
    f"train --dataset digits {SMALL} --epochs 1",
    f"sample results/{NAME}",
    f"sample results/{NAME} --prior fitted",
    f"interpolate results/{NAME}",
    f"reconstruct results/{NAME} --keep 2",
    f"umap results/{NAME}",
]
TIMED = ("provenance.json", "metrics.csv", "learning_curve")  # the seconds that something took stand in these


def test_every_file_is_the_same_again(tmp_path: Path) -> None:
    """Weights, figures as PNG and PDF, and the numbers behind them."""
    for place in ("once", "again"):
        (tmp_path / place).mkdir()
        for command in COMMANDS:
            done = run(*command.split(), cwd=tmp_path / place)
            assert done.code == 0, done.stderr
    once, again = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in tmp_path.iterdir())
    assert once.keys() == again.keys()
    different = [str(path) for path in once if once[path] != again[path]]
    assert [path for path in different if not Path(path).name.startswith(TIMED)] == []
    assert {path.suffix for path in once} >= {".png", ".pdf", ".npz", ".safetensors"}


@pytest.mark.slow
def test_memory_does_not_grow_with_the_epochs(tmp_path: Path) -> None:
    peaks = []
    for epochs in (2, 12):
        results = tmp_path / str(epochs)
        command = f"train --dataset digits {SMALL} --epochs {epochs} --results-dir {results}"
        done = run(*command.split(), cwd=tmp_path)
        assert done.code == 0, done.stderr
        peaks.append(json.loads((results / NAME / "provenance.json").read_text())["peak_memory_mib"])
    assert peaks[1] < 1.03 * peaks[0]


READING = """
import resource, torch
from pie_cli import PIE, PIEConfig
from pie_cli.metrics.inference import in_batches, prior_samples

def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

model = PIE(PIEConfig(conv_width=4, dense_width=16, dense_depth=1)).eval()
for count in (2_000, 10_000):
    _, images = prior_samples(model, count, 1.0, seed=0)
    in_batches(model.encode, images, model)
    print(peak(), images.nbytes)
"""


@pytest.mark.slow
def test_memory_of_reading_is_that_of_a_batch() -> None:
    """Five times as many images sampled and encoded take twice their own bytes (pieces, and these joined) more."""
    done = subprocess.run([sys.executable, "-c", READING], capture_output=True, text=True, check=True)
    (before, few), (after, many) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert after - before < 2.5 * (many - few)
