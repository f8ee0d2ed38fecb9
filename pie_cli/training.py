"""One training loop for every model, on Lightning Fabric: interrupted at any step, it goes on bit for bit."""

from __future__ import annotations

import math
import os
import time
from contextlib import nullcontext
from types import MethodType
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim import Adam
from torch.optim.lr_scheduler import OneCycleLR

from pie_cli.autoencoder import Autoencoder
from pie_cli.configuration import RunConfig, TrainingConfig
from pie_cli.data import Dataset, ImageSet
from pie_cli.devices import Execution
from pie_cli.distributed import agreed_signal, mean_over_ranks, start_processes
from pie_cli.errors import Interrupted, PIEError, UsageError
from pie_cli.files import write_json, write_text
from pie_cli.interrupts import deferred_signals
from pie_cli.metrics import spread, squared_error
from pie_cli.models import build_model
from pie_cli.pie import PIE, PIEConfig
from pie_cli.progress import Display
from pie_cli.provenance import provenance
from pie_cli.runs import Run
from pie_cli.tensorfiles import check_tensors

CHECKPOINT_STEPS = 200  # steps between checkpoints; one is also written at each epoch's end and on a signal
START_IMAGES = 10_000  # images that the start from the data looks at
CHECK_SAMPLES = 10_000  # samples from the prior that each epoch looks at, or as many as there are training images
EVAL_BATCH = 1_000
ANNEAL_FROM = 0.1  # ε₀² at which an annealed training starts


class TrainingState:
    """All that changes during training: model, optimizer, schedule, position, random generators, history."""

    def __init__(self, model: Autoencoder, config: TrainingConfig, steps: int, device: torch.device) -> None:
        self.model = model.to(device)
        self.optimizer = Adam(model.parameters(), lr=config.lr, fused=device.type in ("cpu", "cuda"))
        self.schedule = OneCycleLR(self.optimizer, max_lr=config.lr, total_steps=steps)
        self.noise = torch.Generator(device).manual_seed(config.seed)
        self.step = 0
        self.started = time.monotonic()
        exact = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self.epoch_loss = torch.zeros((), dtype=exact, device=device)
        self.history: list[dict[str, float]] = []

    @property
    def seconds(self) -> float:
        """Time spent on this training, over all interruptions."""
        return time.monotonic() - self.started

    def advance(self, loss: Tensor) -> None:
        """Note that the optimizer has made a step from this loss."""
        self.schedule.step()
        self.step += 1
        self.epoch_loss += loss

    def end_epoch(self, epoch: int, steps: int, health: dict[str, float]) -> None:
        """Add an epoch's row to the history: its mean loss over its steps, and what `validate` found."""
        row = {"epoch": epoch, "step": self.step, "lr": float(self.schedule.get_last_lr()[0])}
        row |= {"train_loss": float(self.epoch_loss) / steps, **health, "seconds": round(self.seconds, 1)}
        self.history.append(row)
        self.epoch_loss.zero_()

    def save(self, run: Run) -> None:
        """Write the run's checkpoint."""
        metadata = {"step": self.step, "seconds": self.seconds, "history": self.history}
        run.save_checkpoint(self._tensors(self.optimizer.state_dict()["state"]), metadata)

    def _tensors(self, moments: dict[int, dict[str, Tensor]]) -> dict[str, Tensor]:
        """Return the tensors of a checkpoint by name, with Adam's step and averages by parameter."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        for index, state in moments.items():
            tensors |= {f"optimizer.{index}.{name}": tensor for name, tensor in state.items()}
        tensors |= {"noise": self.noise.get_state(), "epoch_loss": self.epoch_loss, "rng.cpu": torch.get_rng_state()}
        if self.epoch_loss.is_cuda:
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        return tensors

    def check(self, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        """Raise ValueError unless these are what `save` writes in this training; PIEError on another kind of device."""
        if "noise" in tensors and tensors["noise"].shape != self.noise.get_state().shape:
            raise PIEError(
                "the checkpoint was written on another kind of device: go on with that --device, or start anew with "
                "--overwrite"
            )
        adam = {
            i: {"step": torch.zeros(()), "exp_avg": p, "exp_avg_sq": p} for i, p in enumerate(self.model.parameters())
        }
        check_tensors(tensors, self._tensors(adam))
        step, seconds, history = (metadata.get(name) for name in ("step", "seconds", "history"))
        if not (type(step) is int and 0 < step < self.schedule.total_steps):
            raise ValueError("its step is none of this training's")
        if not (isinstance(seconds, float) and 0 <= seconds < math.inf):
            raise ValueError("its time is no number of seconds")
        if not (isinstance(history, list) and all(isinstance(row, dict) for row in history)):
            raise ValueError("its history has no rows")
        if not all(type(number) in (int, float) for row in history for number in row.values()):
            raise ValueError("its history has something else than numbers")
        try:
            for name, device in (("noise", self.noise.device), ("rng.cpu", torch.device("cpu"))):
                torch.Generator(device).set_state(tensors[name])
        except RuntimeError as error:
            raise ValueError("the state of a random generator is none") from error

    def restore(self, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        """Become what `save` wrote, given what `check` has found to be that."""
        groups: dict[str, dict[str, Tensor]] = {}
        for name, tensor in tensors.items():
            group, _, rest = name.partition(".")
            groups.setdefault(group, {})[rest] = tensor
        self.model.load_state_dict(groups["model"])
        parameters = list(self.model.parameters())
        state: dict[int, dict[str, Tensor]] = {}
        for name, tensor in groups.get("optimizer", {}).items():
            index, _, rest = name.partition(".")
            parameter = parameters[int(index)]
            if tensor.shape == parameter.shape:
                # The fused Adam walks through memory, so its averages must lie in it as the parameter does.
                tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
            state.setdefault(int(index), {})[rest] = tensor
        self.optimizer.load_state_dict({**self.optimizer.state_dict(), "state": state})
        self.step, self.history = metadata["step"], metadata["history"]
        # Learning rate and momentum follow from the step: the schedule sets those of the step that it is told to make.
        self.schedule.load_state_dict({"last_epoch": self.step - 1, "_step_count": self.step + 1})
        self.schedule.step()
        self.noise.set_state(tensors["noise"])
        self.epoch_loss.copy_(tensors["epoch_loss"])
        torch.set_rng_state(tensors["rng.cpu"])
        if self.epoch_loss.is_cuda and "rng.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng.cuda"])
        self.started = time.monotonic() - metadata["seconds"]


def train(
    run: Run,
    dataset: Dataset,
    execution: Execution,
    display: Display,
    overwrite: bool = False,
) -> Autoencoder:
    """Train the run's model, from its checkpoint where there is one, and write all of the run's files.

    Of several processes each takes its part of every batch, and the first alone reads and writes the folder.

    Arguments:
        run: what to train, and the folder to write; made if it is missing.
        dataset: trained on its training images; its validation images make each epoch's row of metrics.
        execution: where and how it computes.
        display: where progress is shown.
        overwrite: whether to start anew where the folder holds a run.

    Raises:
        UsageError: if a batch has more images than there are.
        PIEError: if the loss or a gradient is not finite, or a file cannot be read or written; the last good
            checkpoint stays.
        Interrupted: on Ctrl-C or SIGTERM, after the current step, with a checkpoint written.
    """
    config = run.config.training
    steps_per_epoch = batches_per_epoch(dataset, config)
    steps = config.epochs * steps_per_epoch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA's condition for deterministic products
    torch.use_deterministic_algorithms(True, warn_only=True)
    fabric = start_processes(config, execution)
    first = fabric.is_global_zero  # the one rank that reads and writes the folder
    if first and overwrite:
        run.clear()
    if first and not run.exists:
        run.create()
    torch.manual_seed(config.seed)
    state = TrainingState(build_model(run.config.model), config, steps, fabric.device)
    images = dataset.train.images.to(fabric.device)
    checkpoint = run.load_checkpoint(state.check, display.note) if first else None
    if checkpoint := fabric.broadcast(checkpoint):
        state.restore(*checkpoint)
    elif config.init == "pca":
        state.model.start_from_data(training_batch(images[:START_IMAGES], config, state.noise))
    if execution.recompute and isinstance(state.model, PIE):
        state.model.recompute_activations()
    module, optimizer = fabric.setup(state.model, state.optimizer)
    if execution.compiled:
        compiled = torch.compile(type(state.model).loss)
        state.model.loss = MethodType(compiled, state.model)  # type: ignore[method-assign]
    module.mark_forward_method("loss")

    with deferred_signals() as signal_number, display:
        display.start(steps, steps_per_epoch, config.batch_size, state.step)
        order = epoch_order(len(images), config.seed, state.step // steps_per_epoch)
        while state.step < steps:
            epoch, position = divmod(state.step, steps_per_epoch)
            index = order[position * config.batch_size : (position + 1) * config.batch_size].to(fabric.device)
            # Every rank draws the noise of the whole batch and then takes its part, as large as all others: so the
            # batch, and the mean over ranks of the gradients of their means, do not depend on the number of ranks.
            progress = state.step / steps
            factor = annealing(run.config, progress)
            annealed = _annealed(run.config, progress, factor, fabric.device)
            batch = training_batch(images[index], config, state.noise, factor).chunk(fabric.world_size)[
                fabric.global_rank
            ]
            with fabric.autocast():
                loss = module.loss(batch, **annealed)["loss"]
            fabric.backward(loss)
            loss = mean_over_ranks(fabric, loss.detach())
            norm = clip_gradients(state.model, config.grad_clip)
            if not (loss.isfinite() and norm.isfinite()):
                raise _diverged(run, state.step)
            optimizer.step()
            optimizer.zero_grad()
            state.advance(loss)
            display.step(state.step, loss)

            epoch_ends = state.step % steps_per_epoch == 0
            if epoch_ends:
                order = epoch_order(len(images), config.seed, epoch + 1)
            if epoch_ends and first:
                # Batches of other sizes would be compiled anew.
                with torch.compiler.set_stance("force_eager") if execution.compiled else nullcontext():
                    health = validate(state.model, dataset.validation, config, min(CHECK_SAMPLES, len(images)))
                state.end_epoch(epoch + 1, steps_per_epoch, health)
                write_text(run.folder / "metrics.csv", pd.DataFrame(state.history).to_csv(index=False))
                display.epoch(state.history[-1])
            signum = agreed_signal(fabric, signal_number())
            if state.step < steps and (signum or epoch_ends or state.step % CHECKPOINT_STEPS == 0):
                if first:
                    state.save(run)
                if signum:
                    where = f"stopped after step {state.step} of {steps}"
                    raise Interrupted(signum, f"{where}; go on with the same command and --resume")

    if first:
        facts = {"run": run.config.name, "seed": config.seed, "data": dataset.name}
        facts |= {"wall_seconds": round(state.seconds, 1), "world_size": fabric.world_size}
        facts |= {"parameters": sum(p.numel() for p in state.model.parameters())}
        facts |= provenance(_device_name(fabric.device), torch.get_num_threads())
        write_json(run.folder / "provenance.json", facts)
        run.save_weights(state.model)  # last: it says that the run is finished
        run.remove_checkpoints()
    return state.model.eval()


def batches_per_epoch(dataset: Dataset, config: TrainingConfig) -> int:
    """Return the number of whole batches in the training images. Raises UsageError if there is none."""
    if len(dataset.train) < config.batch_size:
        raise UsageError(f"--batch-size {config.batch_size} exceeds the {len(dataset.train)} training images")
    return len(dataset.train) // config.batch_size


def clip_gradients(model: nn.Module, max_norm: float) -> Tensor:
    """Bound the norm of all gradients, and return what it was; gradients that are short enough are not touched."""
    parameters = [p for p in model.parameters() if p.grad is not None]
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    if norm > max_norm:
        clip_grads_with_norm_(parameters, max_norm, norm)
    return norm


def epoch_order(images: int, seed: int, epoch: int) -> Tensor:
    """Return the order in which an epoch visits the images, from seed and epoch alone, so any step can be resumed."""
    return torch.randperm(images, generator=torch.Generator().manual_seed(seed * 100_003 + epoch))


def annealing(config: RunConfig, progress: float) -> float:
    """Return the factor on ε₀² and on the noise's variance when a share `progress` of all steps is done.

    It falls exponentially from ANNEAL_FROM / ε₀² to 1, and is 1 throughout where ε₀² is not smaller: of the paper's
    three, only ε₀² = 0.01 is annealed.
    """
    share = config.training.anneal
    if progress >= share or not isinstance(config.model, PIEConfig):
        return 1.0
    return max(1.0, ANNEAL_FROM / config.model.eps2) ** (1 - progress / share)


def _annealed(config: RunConfig, progress: float, factor: float, device: torch.device) -> dict[str, Tensor]:
    """Return the loss's arguments, given `annealing`; tensors, which change without compiling anew."""
    share, start = config.training.anneal, config.training.reconstruction_start
    if not (share and isinstance(config.model, PIEConfig)):
        return {}
    arguments = {"eps2": torch.tensor(config.model.eps2 * factor, device=device)}
    if start and progress < share:
        arguments["reconstruction"] = torch.tensor(start * (1 - progress / share), device=device)
    return arguments


def training_batch(
    images: Tensor, config: TrainingConfig, generator: torch.Generator, noise_factor: float = 1.0
) -> Tensor:
    """Return uint8 images (B, C, H, W) as the model sees them in training: in [0, 1], dequantised, noisy.

    The noise's variance is in units of [−1, 1], where a step of 1 in [0, 1] is 2: hence the half.
    """
    x = images.float()
    unit = torch.rand(x.shape, generator=generator, device=x.device) if config.dequantise else None
    x = x / 255 if unit is None else (x + unit) / 256
    if config.noise:
        x = x + math.sqrt(config.noise * noise_factor) / 2 * torch.randn(x.shape, generator=generator, device=x.device)
    return x


@torch.no_grad()
def validate(model: Autoencoder, images: ImageSet, config: TrainingConfig, check_samples: int) -> dict[str, float]:
    """Return the validation loss and its terms, z-only reconstruction MSE, the spread of z and the health of samples.

    The loss is that of images treated as in training, with the same noise at every epoch; the MSE is that of the clean
    images from z alone, clipped to [0, 1], per pixel value. Random generators are left as they were.
    """
    device = next(model.parameters()).device
    model.eval()
    noise = torch.Generator(device).manual_seed(0)
    codes, squared, sums = [], 0.0, dict[str, float]()
    with torch.random.fork_rng():
        torch.manual_seed(0)
        for chunk in images.images.split(EVAL_BATCH):
            batch = chunk.to(device)
            for name, value in model.loss(training_batch(batch, config, noise)).items():
                sums[name] = sums.get(name, 0.0) + float(value) * len(chunk) / len(images)
            clean = batch.float() / 255
            codes.append(model.encode(clean))
            squared += float(squared_error(clean, model.decode(codes[-1])).sum())
    generator = torch.Generator().manual_seed(0)
    sizes = [min(EVAL_BATCH, check_samples - done) for done in range(0, check_samples, EVAL_BATCH)]
    samples = torch.cat([model.sample(size, generator=generator).cpu() for size in sizes])
    model.train()
    return {
        **{f"val_{name}": value for name, value in sums.items()},
        "val_mse": squared / len(images),
        "z_std": spread(torch.cat(codes)),
        "sample_max_abs": float(samples.nan_to_num().abs().max()),
        "samples_not_finite": float((~samples.flatten(1).isfinite().all(1)).sum()),
    }


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def _diverged(run: Run, step: int) -> PIEError:
    kept = f"the last good checkpoint stays in {run.folder}" if run.checkpoint.exists() else "no checkpoint was due yet"
    return PIEError(
        f"training diverged: the loss or a gradient is not finite at step {step}; {kept}; try a smaller --lr, "
        "--scale contractive or a larger --noise"
    )
