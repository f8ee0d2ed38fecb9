"""Heartbeats: what `pie status` makes of them, whatever they say, and that they cost a training nothing."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pie_cli.errors import Interrupted
from pie_cli.runs.folder import Run
from pie_cli.runs.heartbeat import FILE, STALE_SECONDS, Heart, Heartbeat
from tests.conftest import call

HERE = Heartbeat(
    "training", platform.node(), os.getpid(), 0.0, epoch=1, step=15, steps=20, loss=0.5, speed=99.0, left=60
)
ELSEWHERE = replace(HERE, host="another-machine", pid=1)


def ended() -> int:
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


# What a run is: the files that it has, its heartbeat and how old that is, the word for it.
CASES: dict[str, tuple[bool, Heartbeat | None, float, str]] = {
    "untouched": (False, None, 0, "stopped"),
    "here": (False, HERE, 0, "training"),
    "elsewhere": (False, ELSEWHERE, STALE_SECONDS / 2, "training"),
    "silent": (False, ELSEWHERE, 2 * STALE_SECONDS, "dead"),
    "killed": (False, replace(HERE, pid=ended()), 0, "dead"),
    "signalled": (False, replace(HERE, state="stopped"), 1e6, "stopped"),
    "broken": (False, replace(HERE, state="failed", reason="[bold]no\nspace"), 1e6, "failed"),
    "measured": (True, replace(HERE, state="evaluating"), 0, "evaluating"),
    "complete": (True, None, 0, "trained"),
}


def test_every_state_has_its_word(
    whole: Run, interrupted: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, (finished, said, age, _) in CASES.items():
        shutil.copytree((whole if finished else interrupted).folder, tmp_path / name)
        if said:
            replace(said, time=time.time() - age).write(tmp_path / name)
    shutil.copytree(whole.folder, tmp_path / "quick" / "judged")
    (tmp_path / "quick" / "judged" / "evaluation.json").touch()
    code, printed, _ = call(f"status {tmp_path}", capsys, monkeypatch)
    assert code == 0
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if line[:1] == "│"]
    words = {name: word for name, (*_, word) in CASES.items()} | {"quick/judged": "finished"}
    assert {row[0]: row[1] for row in rows} == words
    of = {row[0]: row[2:] for row in rows}
    assert of["here"] == ["1/2", "75%", "0.5", "–", "99", "1", f"{platform.node()} {os.getpid()}"]
    assert of["killed"] == ["1/2", "75%", *["–"] * 5]  # what its process said last is not going on
    assert "broken failed: [bold]no\\nspace\n" in printed
    assert "silent is dead: another-machine, process 1, was last heard of 2 min ago\n" in printed


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.binary()
    | st.dictionaries(st.sampled_from([*asdict(HERE), "x"]), st.none() | st.text() | st.floats() | st.integers())
)
def test_what_is_no_heartbeat_is_none(content: bytes | dict[str, object]) -> None:
    """Whatever a file says, it is a heartbeat whose fields have their types, or none."""
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / FILE
        path.write_bytes(content if isinstance(content, bytes) else json.dumps(asdict(HERE) | content).encode())
        said = Heartbeat.read(Path(folder))
        assert said is None or (isinstance(said.progress, float) and said.at_work in (True, False))


def read(folder: Path) -> Heartbeat:
    """Return the heartbeat in a folder, which must be there."""
    said = Heartbeat.read(folder)
    assert said is not None
    return said


def said_within(folder: Path, error: BaseException | None) -> Heartbeat:
    """Return what a heart says in a block that ends with this error; after a good end, nothing stays."""
    with Heart(folder, keep=False):
        said = read(folder)
        assert said.at_work
        if error:
            raise error
    assert not list(folder.iterdir())
    return said


def test_a_heart_says_how_it_ended(tmp_path: Path) -> None:
    """The next one counts those that died without a word, and goes on from where they were."""
    replace(HERE, lost=1).write(tmp_path)
    assert said_within(tmp_path, None).lost == 2
    replace(HERE, lost=1).write(tmp_path)
    with pytest.raises(Interrupted):
        said_within(tmp_path, Interrupted(2, "stopped"))
    stopped = read(tmp_path)
    assert (stopped.state, stopped.deaths, stopped.step) == ("stopped", 0, 15)
    with pytest.raises(ValueError, match="x"):
        said_within(tmp_path, ValueError("x"))
    failed = read(tmp_path)
    assert (failed.state, failed.reason, failed.lost) == ("failed", "ValueError: x", 0)
