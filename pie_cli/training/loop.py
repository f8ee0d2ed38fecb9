"""One training loop for every model, on Lightning Fabric, put together from parts."""

import math
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from types import MethodType
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm
from torch.optim.swa_utils import AveragedModel

from pie_cli.data.base import Dataset, ImageSet
from pie_cli.errors import Interrupted, PIEError
from pie_cli.io.files import write_json, write_text
from pie_cli.io.provenance import provenance
from pie_cli.models.base import Autoencoder
from pie_cli.models.pie import PIE
from pie_cli.runs.folder import Run
from pie_cli.runtime import Execution, deferred_signals, keep_compiled_code
from pie_cli.training.batches import annealing, batches_per_epoch, epoch_order, loss_weights, training_batch
from pie_cli.training.display import Display
from pie_cli.training.distributed import agreed_signal, mean_over_ranks, start_processes
from pie_cli.training.state import Schedule, TrainingState, one_cycle
from pie_cli.training.validate import validate

CHECKPOINT_STEPS = 200  # steps between checkpoints; one is also written at each epoch's end and on a signal
START_IMAGES = 10_000  # images that the start from the data looks at: fewer if they are large, but not too few
START_VALUES, LEAST_START_IMAGES = 2**24, 1_000
ON_DEVICE = 2**31  # bytes of training images that an accelerator keeps; of more, it gets a batch at a time
CHECK_SAMPLES = 1_000  # samples from the prior that are checked after each epoch


@dataclass(frozen=True)
class Parts:
    """What a training is put together from; an experiment passes its own. The model is the run's (`Run.build`).

    `treat` turns uint8 images into what the model sees, given the settings, a generator and a factor on the noise.
    `weigh` returns the loss's arguments, given the run's configuration, the share of steps done and the device.
    `average` makes the running average of the weights that is validated and kept; None keeps the last weights. It
    starts again when a training is resumed.
    """

    treat: Callable[..., Tensor] = training_batch
    weigh: Callable[..., dict[str, Tensor]] = loss_weights
    schedule: Schedule = one_cycle
    average: Callable[[nn.Module], AveragedModel] | None = None


def train(
    run: Run,
    dataset: Dataset,
    execution: Execution,
    display: Display,
    overwrite: bool = False,
    parts: Parts | None = None,
) -> Autoencoder:
    """Train the run's model, from its checkpoint if there is one, and write all of the run's files.

    Each epoch's row of metrics is measured on the validation images. With `overwrite`, the run in the folder is trained
    again. If there are several processes, each takes its part of every batch, and only the first reads and writes the
    folder.

    Raises:
        UsageError: if a batch has more images than there are.
        PIEError: if the loss or a gradient is not finite, or a file cannot be read or written; the last good
            checkpoint stays.
        Interrupted: on a signal to stop (`runtime.SIGNALS`), after the current step, with a checkpoint written.
    """
    training = _Training(run, dataset, execution, parts or Parts(), display, overwrite)
    state, steps_per_epoch, first = training.state, training.steps_per_epoch, training.fabric.is_global_zero
    with deferred_signals() as signal_number, display:
        display.start(state.steps, steps_per_epoch, run.config.resolved.batch_size, state.step)
        while state.step < state.steps:
            loss = training.step()
            display.step(state.step, loss)
            epoch, position = divmod(state.step, steps_per_epoch)
            if position == 0 and first:
                state.end_epoch(epoch, steps_per_epoch, training.health())
                write_text(run.folder / "metrics.csv", pd.DataFrame(state.history).to_csv(index=False))
                display.epoch(state.history[-1])
            signum = agreed_signal(training.fabric, signal_number())
            if state.step < state.steps and (signum or position == 0 or state.step % CHECKPOINT_STEPS == 0):
                if first:
                    state.save(run)
                if signum:
                    where = f"stopped after step {state.step} of {state.steps}"
                    raise Interrupted(signum, f"{where}; go on with the same command and `resume`")
    if first:
        training.finish()
    return training.shown.eval()


class _Training:
    """The parts of a training, put together: one step, the check after an epoch, the files at the end."""

    def __init__(
        self, run: Run, dataset: Dataset, execution: Execution, parts: Parts, display: Display, overwrite: bool
    ) -> None:
        self.run, self.dataset, self.execution, self.parts = run, dataset, execution, parts
        self.config = run.config.resolved
        self.steps_per_epoch = batches_per_epoch(dataset, self.config)
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA needs it for deterministic products
        torch.use_deterministic_algorithms(True, warn_only=True)
        # Filling new memory is an aid to debugging, which takes a fiftieth of a step.
        torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
        self.fabric = start_processes(self.config, execution)
        if self.fabric.is_global_zero and overwrite:
            run.clear()
        if self.fabric.is_global_zero and not run.exists:
            run.create()
        self.images = _near(dataset.limited(self.config.train_images).train, self.fabric.device)
        self.order = torch.empty(0)
        self.state = self._begin(display)
        if execution.recompute and isinstance(self.state.model, PIE):
            self.state.model.recompute_activations()
        self.module, self.optimizer = self.fabric.setup(self.state.model, self.state.optimizer)
        if execution.compiled:
            keep_compiled_code()
            compiled = torch.compile(type(self.state.model).loss)
            self.state.model.loss = MethodType(compiled, self.state.model)  # type: ignore[method-assign]
        self.module.mark_forward_method("loss")
        self.average = parts.average(self.state.model) if parts.average else None

    def _begin(self, display: Display) -> TrainingState:
        """Return the state to start from: the checkpoint's, or a fresh one."""
        run, config, fabric = self.run, self.config, self.fabric
        torch.manual_seed(config.seed)
        steps = config.epochs * self.steps_per_epoch
        state = TrainingState(run.build(run.config.model), config, steps, fabric.device, self.parts.schedule)
        checkpoint = run.load_checkpoint(state.check, display.note) if fabric.is_global_zero else None
        if checkpoint := fabric.broadcast(checkpoint):
            state.restore(*checkpoint)
        elif config.init == "pca":
            some = START_VALUES // math.prod(self.dataset.image_shape)
            start = torch.arange(min(len(self.images), START_IMAGES, max(some, LEAST_START_IMAGES)))
            state.model.start_from_data(self.parts.treat(self._take(start), config, state.noise))
        return state

    @property
    def shown(self) -> Autoencoder:
        """The model that is validated and kept."""
        model = self.state.model if self.average is None else self.average.module
        assert isinstance(model, Autoencoder)
        return model

    def step(self) -> Tensor:
        """Make one step and return its loss, the mean over all processes. Raises PIEError if it is not finite."""
        state, fabric, config = self.state, self.fabric, self.config
        progress = state.step / state.steps
        # Every rank draws the noise of the whole batch and then takes its part; all parts have the same size. So
        # neither the batch nor the mean of the ranks' gradients depends on the number of ranks.
        factor = annealing(self.run.config, progress)
        whole = self.parts.treat(self._take(self._indices()), config, state.noise, factor)
        with fabric.autocast():
            batch = whole.chunk(fabric.world_size)[fabric.global_rank]
            loss = self.module.loss(batch, **self.parts.weigh(self.run.config, progress, fabric.device))
        fabric.backward(loss)
        loss = mean_over_ranks(fabric, loss.detach())
        norm = clip_gradients(state.model, config.grad_clip)
        if not (loss.isfinite() and norm.isfinite()):
            raise _diverged(self.run, state.step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update_parameters(state.model)
        state.advance(loss)
        return loss

    def _indices(self) -> Tensor:
        """Return which images the next step sees."""
        epoch, position = divmod(self.state.step, self.steps_per_epoch)
        if position == 0 or not len(self.order):
            self.order = epoch_order(len(self.images), self.config.seed, epoch)
        size = self.config.batch_size
        return self.order[position * size : (position + 1) * size]

    def _take(self, indices: Tensor) -> Tensor:
        """Return training images (B, C, H, W), uint8, on the device."""
        return self.images.take(indices.to(self.images.images.device)).to(self.fabric.device)

    def health(self) -> dict[str, float]:
        """Return what `validate` finds."""
        # Batches of other sizes would cause another compilation.
        with torch.compiler.set_stance("force_eager") if self.execution.compiled else nullcontext():
            return validate(self.shown, self.dataset.validation, self.config, CHECK_SAMPLES, self.parts.treat)

    def finish(self) -> None:
        """Write the run's last files; the weights, which mark it as finished, come last."""
        facts: dict[str, Any] = {"run": self.run.name, "seed": self.config.seed, "data": self.dataset.name}
        facts |= {"wall_seconds": round(self.state.seconds, 1), "world_size": self.fabric.world_size}
        facts["parameters"] = sum(p.numel() for p in self.state.model.parameters())
        device = self.fabric.device
        device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
        facts |= provenance(device_name, torch.get_num_threads())
        write_json(self.run.folder / "provenance.json", facts)
        self.run.save_weights(self.shown)
        self.run.remove_checkpoints()


def _near(images: ImageSet, device: torch.device) -> ImageSet:
    """Return the images where batches of them are taken fastest: on the device, if it has room for them."""
    if device.type == "cpu" or images.images.nbytes > ON_DEVICE:
        return images
    return ImageSet(images.images.to(device), images.labels)


def clip_gradients(model: nn.Module, max_norm: float) -> Tensor:
    """Bound the norm of all gradients, and return what it was; gradients that are short enough are not touched."""
    parameters = [p for p in model.parameters() if p.grad is not None]
    norm = get_total_norm([p.grad for p in parameters if p.grad is not None])
    if norm > max_norm:
        clip_grads_with_norm_(parameters, max_norm, norm)
    return norm


def _diverged(run: Run, step: int) -> PIEError:
    kept = f"the last good checkpoint stays in {run.folder}" if run.checkpoint.exists() else "no checkpoint was due yet"
    return PIEError(
        f"training diverged: the loss or a gradient is not finite at step {step}; {kept}; try a smaller `lr`, "
        "`scale` contractive or a larger `noise`"
    )
