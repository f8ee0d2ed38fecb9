"""All that changes during a training, and what a checkpoint holds of it, so that any step can be resumed exactly."""

import math
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_optimizer_state_dict, set_optimizer_state_dict
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR

from pie_cli.config.run import TrainingConfig
from pie_cli.errors import PIEError
from pie_cli.io.tensors import check_tensors
from pie_cli.models.base import Autoencoder
from pie_cli.runs.folder import Run

# Its arguments: an optimizer, the peak of the learning rate, the number of steps, and the last step made (-1: none).
Schedule = Callable[[Optimizer, float, int, int], LRScheduler]

_FLAT = StateDictOptions(flatten_optimizer_state_dict=True)  # one tensor per name


def one_cycle(optimizer: Optimizer, peak: float, steps: int, last: int) -> LRScheduler:
    """Return the one-cycle schedule (Smith & Topin 2018, https://arxiv.org/abs/1708.07120)."""
    return OneCycleLR(optimizer, max_lr=peak, total_steps=steps, last_epoch=last)


class TrainingState:
    """Model, optimizer, schedule, position, random generators and history of a training.

    The model is moved to the device. Every value of `config` must be resolved. `steps` counts the whole training.
    """

    def __init__(
        self,
        model: Autoencoder,
        config: TrainingConfig,
        steps: int,
        device: torch.device,
        schedule: Schedule = one_cycle,
    ) -> None:
        assert config.lr is not None
        self.model = model.to(device)
        self.optimizer = Adam(model.parameters(), lr=config.lr, fused=device.type in ("cpu", "cuda"))
        self.peak, self.steps, self.make_schedule = config.lr, steps, schedule
        self.schedule = schedule(self.optimizer, self.peak, steps, -1)
        self.noise = torch.Generator(device).manual_seed(config.seed)
        self.step = 0
        self.started = time.monotonic()
        exact = torch.float32 if device.type == "mps" else torch.float64  # MPS has no float64
        self.epoch_loss = torch.zeros((), dtype=exact, device=device)
        self.history: list[dict[str, float]] = []

    @property
    def seconds(self) -> float:
        """Time spent on this training, before and after interruptions."""
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
        adam = get_optimizer_state_dict(self.model, self.optimizer, options=_FLAT)
        moments = {name: tensor for name, tensor in adam.items() if name.startswith("state.")}
        run.save_checkpoint(self._tensors(moments), metadata)

    def _tensors(self, moments: dict[str, Any]) -> dict[str, Tensor]:
        """Return the tensors of a checkpoint by name, with Adam's step and averages by parameter."""
        tensors = {f"model.{name}": tensor for name, tensor in self.model.state_dict().items()}
        tensors |= {f"optimizer.{name}": tensor for name, tensor in moments.items()}
        tensors |= {"noise": self.noise.get_state(), "epoch_loss": self.epoch_loss, "rng.cpu": torch.get_rng_state()}
        if self.epoch_loss.is_cuda:
            tensors["rng.cuda"] = torch.cuda.get_rng_state()
        return tensors

    def check(self, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        """Raise ValueError unless `save` writes such values in this training; PIEError for another kind of device."""
        if "noise" in tensors and tensors["noise"].shape != self.noise.get_state().shape:
            problem = "the checkpoint was written on another kind of device"
            raise PIEError(f"{problem}: go on with that `device`, or start again with `overwrite`")
        self.model.expect(_group(tensors, "model."))
        adam = {
            f"state.{name}.{part}": torch.zeros(()) if part == "step" else parameter
            for name, parameter in self.model.named_parameters()
            for part in ("step", "exp_avg", "exp_avg_sq")
        }
        check_tensors(tensors, self._tensors(adam))
        step, seconds, history = (metadata.get(name) for name in ("step", "seconds", "history"))
        if not (type(step) is int and 0 < step < self.steps):
            raise ValueError("its step is not one of this training")
        if not (isinstance(seconds, float) and 0 <= seconds < math.inf):
            raise ValueError("its time is not a number of seconds")
        if not (isinstance(history, list) and all(isinstance(row, dict) for row in history)):
            raise ValueError("its history has no rows")
        if not all(type(number) in (int, float) for row in history for number in row.values()):
            raise ValueError("its history has something other than numbers")
        try:
            for name, device in (("noise", self.noise.device), ("rng.cpu", torch.device("cpu"))):
                torch.Generator(device).set_state(tensors[name])
        except RuntimeError as error:
            raise ValueError("the state of a random generator cannot be used") from error

    def restore(self, tensors: dict[str, Tensor], metadata: dict[str, Any]) -> None:
        """Restore what `save` wrote; `check` must have accepted it."""
        self.model.load_state_dict(_group(tensors, "model."))
        parameters = dict(self.model.named_parameters())
        adam: dict[str, Any] = get_optimizer_state_dict(self.model, self.optimizer, options=_FLAT)
        for name, tensor in _group(tensors, "optimizer.").items():
            parameter = parameters[name.removeprefix("state.").rpartition(".")[0]]
            if tensor.shape == parameter.shape:
                # The fused Adam walks through memory in order, so its averages need the parameter's memory layout.
                tensor = torch.empty_like(parameter, requires_grad=False).copy_(tensor)
            adam[name] = tensor
        set_optimizer_state_dict(self.model, self.optimizer, adam, options=_FLAT)
        self.step, self.history = metadata["step"], metadata["history"]
        # Learning rate and momentum follow from the step.
        self.schedule = self.make_schedule(self.optimizer, self.peak, self.steps, self.step - 1)
        self.noise.set_state(tensors["noise"])
        self.epoch_loss.copy_(tensors["epoch_loss"])
        torch.set_rng_state(tensors["rng.cpu"])
        if self.epoch_loss.is_cuda and "rng.cuda" in tensors:
            torch.cuda.set_rng_state(tensors["rng.cuda"])
        self.started = time.monotonic() - metadata["seconds"]


def _group(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the tensors whose names begin with `prefix`, by the rest of the name."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
