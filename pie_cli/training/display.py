"""The progress of a training: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from torch import Tensor

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

REFRESH_SECONDS = 0.5  # reading the loss waits for the device, so it is not done at every step
LINE_SECONDS = 60.0  # between plain lines


class Display:
    """Shows the progress of a training; this base class shows nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def note(self, line: str) -> None:
        """Show a line that the user should read."""

    def start(self, steps: int, steps_per_epoch: int, batch_size: int, step: int) -> None:
        """Begin at `step` of `steps`."""

    def step(self, step: int, loss: Tensor) -> None:
        """Note that `step` steps are done, and the loss of the last one."""

    def epoch(self, row: Mapping[str, float]) -> None:
        """Show an epoch's row of metrics."""


class TrainingDisplay(Display):
    """Shows epoch, images/s, time left, loss and the validation MSE of decoding from z alone.

    It shows a bar if the console is a terminal, else lines. A log is opened when the training starts, and then also
    gets each epoch's numbers.
    """

    def __init__(self, console: Console, title: str, open_log: Callable[[], SummaryWriter] | None = None) -> None:
        self.console, self.title, self.open_log = console, title, open_log
        self.live = console.is_terminal
        self.bar = Progress(*_columns(console.width), console=console)

    def __enter__(self) -> Self:
        if self.live:
            self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def note(self, line: str) -> None:
        self.console.print(line, markup=False)

    def start(self, steps: int, steps_per_epoch: int, batch_size: int, step: int) -> None:
        self.log = self.open_log() if self.open_log else None
        self.steps, self.steps_per_epoch, self.batch_size = steps, steps_per_epoch, batch_size
        self.first_step, self.first_time, self.shown = step, time.monotonic(), time.monotonic()
        epoch, self.mse = f"1/{steps // steps_per_epoch}", "–"
        self.task = self.bar.add_task("", total=steps, completed=step, epoch=epoch, speed=0.0, loss=0.0, mse=self.mse)

    def step(self, step: int, loss: Tensor) -> None:
        now = time.monotonic()
        if now - self.shown < (REFRESH_SECONDS if self.live else LINE_SECONDS) and step < self.steps:
            return
        self.shown = now
        speed = (step - self.first_step) * self.batch_size / max(now - self.first_time, 1e-9)
        epochs = self.steps // self.steps_per_epoch
        epoch = f"{min(step // self.steps_per_epoch + 1, epochs)}/{epochs}"
        if self.live:
            self.bar.update(self.task, completed=step, epoch=epoch, speed=speed, loss=float(loss), mse=self.mse)
        elif step < self.steps:
            left = (self.steps - step) * self.batch_size / speed
            facts = f"epoch {epoch}, {speed:,.0f} images/s, loss {float(loss):.4f}, {left / 60:.1f} min left"
            self.console.print(f"{self.title}: {facts}")

    def epoch(self, row: Mapping[str, float]) -> None:
        self.mse = f"{row['val_mse']:.4f}"
        self.console.print(
            f"{self.title}: epoch {row['epoch']:.0f} done, loss {row['train_loss']:.4f}, validation loss "
            f"{row['val_loss']:.4f}, z-only MSE {self.mse}, std of z {row['z_std']:.2f}, {row['seconds']:.0f} s",
            highlight=False,
        )
        if self.log is not None:
            for name, value in row.items():
                self.log.add_scalar(name, value, int(row["step"]))
            self.log.flush()


def _columns(width: int) -> list[ProgressColumn]:
    """Return the columns that fit into this width: always the epoch, the bar, the MSE and the time left."""
    speed = [TextColumn("{task.fields[speed]:,.0f} images/s")] * (width >= 80)
    loss = [TextColumn("loss {task.fields[loss]:.3f}")] * (width >= 60)
    bar, mse = BarColumn(bar_width=8 if width < 60 else 16), TextColumn("MSE {task.fields[mse]}")
    return [TextColumn("epoch {task.fields[epoch]}"), bar, *speed, *loss, mse, TimeRemainingColumn(compact=True)]
