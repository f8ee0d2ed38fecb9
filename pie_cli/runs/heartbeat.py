"""The heartbeat of a run: what the process that works on it says once a second, for everybody who asks.

heartbeat.json lies in the run's folder while a process trains or evaluates the run, and stays if it stops, fails or
dies. It is the only way in which the progress of a run reaches other processes, on this machine or on another.
"""

from __future__ import annotations

import json
import os
import platform
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from pie_cli.errors import mendable
from pie_cli.io.files import read_json, replace_text

FILE = "heartbeat.json"
BEAT_SECONDS = 1.0
STALE_SECONDS = 60.0  # a process that has said nothing for so long is taken for dead; clocks differ by less

AT_WORK = ("training", "evaluating")
State = Literal["training", "evaluating", "done", "stopped", "failed"]


@dataclass(frozen=True)
class Heartbeat:
    """What a process has last said of its run.

    Arguments:
        state: what it does, or how it has ended.
        host: the name of its machine.
        pid: its number there.
        time: when it said so, in seconds since 1970.
        gpu: CUDA_VISIBLE_DEVICES, if the process sees only some of the machine's GPUs.
        epoch: how many epochs of the training are complete.
        step: how many steps are.
        steps: of how many in all; 0 until the training has begun.
        loss: that of the last step.
        val_mse: the MSE of decoding from z alone on the validation images, once an epoch has ended here.
        speed: images per second.
        left: seconds until the training ends.
        reason: why it failed.
        note: a line that the user should read.
        lost: how many processes before this one died with the run, one after the other.
    """

    state: State
    host: str
    pid: int
    time: float
    gpu: str = ""
    epoch: int = 0
    step: int = 0
    steps: int = 0
    loss: float | None = None
    val_mse: float | None = None
    speed: float | None = None
    left: float | None = None
    reason: str = ""
    note: str = ""
    lost: int = 0

    @classmethod
    def mine(cls, state: State) -> Self:
        """Return the first heartbeat of this process."""
        return cls(state, platform.node(), os.getpid(), time.time(), os.environ.get("CUDA_VISIBLE_DEVICES", ""))

    @classmethod
    def read(cls, folder: Path) -> Self | None:
        """Return the heartbeat of a run; None if there is none that can be understood."""
        try:
            return cls.of(read_json(folder / FILE))
        except (OSError, ValueError):
            return None

    @classmethod
    def of(cls, values: dict[str, Any]) -> Self:
        """Return the heartbeat that a file describes. Raises ValueError if it describes none."""
        from pydantic import TypeAdapter  # as in `settings.check`

        return TypeAdapter(cls).validate_python(values)

    def write(self, folder: Path) -> None:
        """Write it for everybody to read; what cannot be written is not said: nothing depends on it."""
        with suppress(OSError):
            replace_text(folder / FILE, json.dumps(asdict(self)))

    @property
    def at_work(self) -> bool:
        """Whether a process works on the run: it says so, it has said so lately, and it exists if it is one of here."""
        known = self.host == platform.node() and os.name == "posix"
        says = self.state in AT_WORK and time.time() - self.time < STALE_SECONDS
        return says and not (known and not _exists(self.pid))

    @property
    def deaths(self) -> int:
        """How many processes have died with the run, if this one is gone: one that ends otherwise says so."""
        return self.lost + 1 if self.state in AT_WORK else 0

    @property
    def progress(self) -> float:
        """The share of the training's steps that are done."""
        return self.step / self.steps if self.steps else 0.0


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def reason_of(error: Exception) -> str:
    """Return what a heartbeat says of an error."""
    return str(mendable(error) or f"{type(error).__name__}: {error}")


def tell_failure(folder: Path, reason: str) -> None:
    """Write the last heartbeat of a run that failed while no heart was beating."""
    known = Heartbeat.read(folder) or Heartbeat.mine("failed")
    replace(known, state="failed", reason=reason, time=time.time()).write(folder)


def remove_heartbeat(folder: Path) -> None:
    """Remove the heartbeat of a run, if there is one and the system allows it."""
    with suppress(OSError):
        os.remove(folder / FILE)


class Heart:
    """Writes this process's heartbeat while the block runs, and at its end how it ended.

    A thread of its own writes, so that a long step, a compilation or an evaluation does not look like death.
    """

    def __init__(self, folder: Path, keep: bool) -> None:
        """`keep` is whether the heartbeat stays after a good end, for whoever has started this process."""
        self.folder, self.keep = folder, keep
        self.heartbeat = Heartbeat.mine("training")
        self._ended, self._writing = threading.Event(), threading.Lock()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def say(self, **changes: Any) -> None:
        """Change what the next heartbeat says."""
        with self._writing:
            self.heartbeat = replace(self.heartbeat, **changes)

    def __enter__(self) -> Self:
        if last := Heartbeat.read(self.folder):  # who holds the run's lock knows that nobody works on it any more
            self.say(lost=last.deaths, epoch=last.epoch, step=last.step, steps=last.steps)
        self.heartbeat.write(self.folder)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join()
        if error is None and not self.keep:
            remove_heartbeat(self.folder)
            return
        state: State = "done" if error is None else "failed" if isinstance(error, Exception) else "stopped"
        reason = reason_of(error) if isinstance(error, Exception) else ""
        replace(self.heartbeat, state=state, reason=reason, time=time.time()).write(self.folder)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self.say(time=time.time())
            self.heartbeat.write(self.folder)
