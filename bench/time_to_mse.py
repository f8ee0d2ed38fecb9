"""Seconds of one core until validation MSE from z alone reaches 0.025 and 0.02: `python -m bench.time_to_mse`.

It trains the default PIE (one thread, the given schedule) and looks at the MSE every few steps; looking is not counted.
"""

from __future__ import annotations

import argparse
import time

import torch

from pie_cli.allocator import keep_freed_memory
from pie_cli.data import load_dataset
from pie_cli.inference import clean, in_batches
from pie_cli.launch import run_config
from pie_cli.metrics import reconstruction_mse
from pie_cli.models import build_model
from pie_cli.training import START_IMAGES, TrainingState, epoch_order, training_batch

TARGETS = (0.025, 0.02)
EVERY = 50  # steps between looks


def main() -> None:
    """Print the MSE at each look, then the seconds at which each target was reached."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=3, help="length of the schedule")
    parser.add_argument("--precision", choices=["32-true", "bf16-mixed"], default="32-true")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    dataset = load_dataset("mnist")
    config = run_config("pie", 10, {"epochs": arguments.epochs}, {})
    images, validation = dataset.train.images, clean(dataset.validation)
    steps_per_epoch = len(images) // config.training.batch_size
    torch.manual_seed(config.training.seed)
    steps = arguments.epochs * steps_per_epoch
    state = TrainingState(build_model(config.model), config.training, steps, torch.device("cpu"))
    seconds, started = 0.0, time.process_time()
    state.model.start_from_data(training_batch(images[:START_IMAGES], config.training, state.noise))
    reached: dict[float, float] = {}
    while state.step < steps and len(reached) < len(TARGETS):
        epoch, position = divmod(state.step, steps_per_epoch)
        order = epoch_order(len(images), config.training.seed, epoch)
        index = order[position * config.training.batch_size : (position + 1) * config.training.batch_size]
        batch = training_batch(images[index], config.training, state.noise)
        with torch.autocast("cpu", torch.bfloat16, enabled=arguments.precision == "bf16-mixed"):
            loss = state.model.loss(batch)["loss"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(state.model.parameters(), config.training.grad_clip)
        state.optimizer.step()
        state.optimizer.zero_grad()
        state.advance(loss.detach())
        if state.step % EVERY == 0:
            seconds += time.process_time() - started
            mse = reconstruction_mse(validation, in_batches(state.model.reconstruct, validation, state.model))
            print(f"step {state.step}: {seconds:.0f} s, MSE {mse:.4f}", flush=True)
            reached |= {target: seconds for target in TARGETS if mse <= target and target not in reached}
            started = time.process_time()
    for target in TARGETS:
        print(f"MSE {target}: " + (f"{reached[target]:.0f} s of one core" if target in reached else "not reached"))


if __name__ == "__main__":
    main()
