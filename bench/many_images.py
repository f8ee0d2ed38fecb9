"""Preparing few and many pictures, and training on them: `python -m bench.many_images FOLDER`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from bench.report import MIB, machine, table
from bench.run import run_as_command
from pie_cli.io.files import write_text
from pie_cli.runtime import cores

EXPLANATION = (
    "The pictures are made for this: PNG files of 3×64×64, of ten classes, smooth and in colour. `pie train --dry-run` "
    "prepares them; once more, it is killed halfway and started again. Then a small PIE is trained for one epoch. "
    "Each figure is of a whole process with its children: peak memory counts the pages of the mapped file that were in "
    "memory, too."
)
COUNTS = (2_000, 200_000)
SMALL = ("--conv-width", "4", "--dense-width", "64", "--couplings", "1")  # its time is not what is measured
SIDE, CLASSES, CHUNK = 64, 10, 1_000
MOST_MORE = 300  # MiB of a training's memory, with many pictures above that with few


@dataclass(frozen=True)
class Process:
    """What a process took: seconds, the seconds of all cores, and the most memory, in bytes."""

    seconds: float
    busy: float
    memory: int


def make_pictures(folder: Path, first: int) -> None:
    """Write `CHUNK` pictures, each of random colours on a coarse grid, made smooth."""
    random = np.random.default_rng(first)
    for number in range(first, first + CHUNK):
        grid = Image.fromarray(random.integers(0, 256, (6, 6, 3), np.uint8))
        picture = grid.resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        picture.save(folder / f"class {number % CLASSES}" / f"{number:06}.png", compress_level=1)


def made(count: int, folder: Path) -> Path:
    """Return a folder of so many pictures, made if it is not there."""
    if not (place := folder / f"{count}").exists():
        unfinished = folder / f"{count}.unfinished"
        for number in range(CLASSES):
            (unfinished / f"class {number}").mkdir(parents=True, exist_ok=True)
        with ProcessPoolExecutor(cores()) as pool:
            list(pool.map(partial(make_pictures, unfinished), range(0, count, CHUNK)))
        unfinished.rename(place)
    return place


def pie(*words: str, killed_after: float | None = None) -> Process:
    """Run `pie` and return what it took; with `killed_after`, kill it after so many seconds."""
    command, start = [sys.executable, "-m", "pie_cli", *words], time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, start_new_session=True)
    if killed_after is not None:
        time.sleep(killed_after)
        os.kill(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode and killed_after is None:
        raise SystemExit(f"{' '.join(command)} failed (exit code {process.returncode})")
    return Process(time.monotonic() - start, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def main() -> None:
    """Measure both counts and write the page."""
    parser = argparse.ArgumentParser("python -m bench.many_images", description=EXPLANATION)
    parser.add_argument("folder", type=Path, help="where the pictures are made and prepared: 10 GB")
    parser.add_argument("--output", type=Path, default=Path("bench/MANY_IMAGES.md"), help="default: %(default)s")
    arguments = parser.parse_args()
    rows, peaks = [], []
    for count in COUNTS:
        pictures = made(count, arguments.folder)
        with tempfile.TemporaryDirectory(dir=arguments.folder) as folder:
            words = ("train", "--dataset", str(pictures), "--data-dir", f"{folder}/cache", "--results-dir", folder)
            prepared = pie(*words, "--dry-run")
            halves = ("--data-dir", f"{folder}/halves", "--dry-run")
            killed = pie(*words, *halves, killed_after=prepared.seconds / 2)
            rest = pie(*words, *halves)
            trained = pie(*words, "--epochs", "1", *SMALL)
        peaks.append(trained.memory / MIB)
        rows.append(
            [
                f"{count:,}",
                f"{count * 3 * SIDE**2 / 1e6:,.0f}",
                f"{prepared.seconds:.1f}",
                f"{prepared.busy / prepared.seconds:.2f}",
                f"{killed.seconds:.1f} + {rest.seconds:.1f}",
                f"{prepared.memory / MIB:.0f}",
                f"{trained.seconds:.0f}",
                f"{trained.memory / MIB:.0f}",
            ]
        )
    names = ["pictures", "MB prepared", "seconds", "cores busy", "killed halfway, then the rest, seconds"]
    names += ["peak of a process, MiB", "seconds of an epoch", "peak of the training, MiB"]
    page = [
        "# Few pictures and many",
        f"Written by `python -m bench.many_images FOLDER`. {EXPLANATION}",
        machine(torch.device("cpu")),
        table(names, rows),
        f"With {COUNTS[1] // COUNTS[0]} times as many pictures, a training takes {peaks[1] - peaks[0]:+.0f} MiB "
        f"(must: at most {MOST_MORE}).",
    ]
    write_text(arguments.output, "\n\n".join(page) + "\n")


if __name__ == "__main__":
    run_as_command(main)
