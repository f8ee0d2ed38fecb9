"""The progress of a training: a live bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
from torch import Tensor

from pie_cli.runs.heartbeat import BEAT_SECONDS, Heart

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


@dataclass(frozen=True)
class Pace:
    """How fast a training goes, by the clock since it began or was resumed.

    Arguments:
        steps: of the whole training.
        steps_per_epoch: how many of them make an epoch.
        batch_size: images per step.
        first: the step at which it began here.
        started: when, on the monotonic clock.
    """

    steps: int
    steps_per_epoch: int
    batch_size: int
    first: int
    started: float = field(default_factory=time.monotonic)

    def speed(self, step: int) -> float:
        """Return the images per second."""
        return (step - self.first) * self.batch_size / max(time.monotonic() - self.started, 1e-9)

    def left(self, step: int) -> float:
        """Return the seconds until the training ends; at least one step must be done."""
        return (self.steps - step) * self.batch_size / self.speed(step)


class Beating(Display):
    """Has a heartbeat tell of the training that another display shows."""

    def __init__(self, heart: Heart, shown: Display) -> None:
        self.heart, self.shown, self.said = heart, shown, 0.0

    def __enter__(self) -> Self:
        self.shown.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self.shown.__exit__(*error)

    def note(self, line: str) -> None:
        self.heart.say(note=line)
        self.shown.note(line)

    def start(self, steps: int, steps_per_epoch: int, batch_size: int, step: int) -> None:
        self.pace = Pace(steps, steps_per_epoch, batch_size, step)
        self.heart.say(epoch=step // steps_per_epoch, step=step, steps=steps)
        self.shown.start(steps, steps_per_epoch, batch_size, step)

    def step(self, step: int, loss: Tensor) -> None:
        if time.monotonic() - self.said > BEAT_SECONDS or step == self.pace.steps:
            self.said = time.monotonic()
            speed, left = self.pace.speed(step), self.pace.left(step)
            self.heart.say(step=step, loss=float(loss), speed=speed, left=left)
        self.shown.step(step, loss)

    def epoch(self, row: Mapping[str, float]) -> None:
        self.heart.say(epoch=int(row["epoch"]), step=int(row["step"]), val_mse=row["val_mse"])
        self.shown.epoch(row)


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
        self.pace, self.shown = Pace(steps, steps_per_epoch, batch_size, step), time.monotonic()
        epoch, self.mse = f"1/{steps // steps_per_epoch}", "–"
        self.task = self.bar.add_task("", total=steps, completed=step, epoch=epoch, speed=0.0, loss=0.0, mse=self.mse)

    def step(self, step: int, loss: Tensor) -> None:
        now = time.monotonic()
        steps, per_epoch, speed = self.pace.steps, self.pace.steps_per_epoch, self.pace.speed(step)
        if now - self.shown < (REFRESH_SECONDS if self.live else LINE_SECONDS) and step < steps:
            return
        self.shown = now
        epoch = f"{min(step // per_epoch + 1, steps // per_epoch)}/{steps // per_epoch}"
        if self.live:
            self.bar.update(self.task, completed=step, epoch=epoch, speed=speed, loss=float(loss), mse=self.mse)
        elif step < steps:
            left = self.pace.left(step) / 60
            facts = f"epoch {epoch}, {speed:,.0f} images/s, loss {float(loss):.4f}, {left:.1f} min left"
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
