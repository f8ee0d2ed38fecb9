"""Named sets beside MNIST: files of the same formats stand for the real ones, with their hashes in torchvision's lists.

The real files are too large for a test. A server on this machine stands for the addresses that torchvision names.
"""

from __future__ import annotations

import gzip
import hashlib
import http.server
import io
import socket
import struct
import tarfile
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.io import savemat
from torchvision.datasets import CIFAR10, KMNIST, MNIST, SVHN, FashionMNIST

from pie_cli.data import mnist, named
from pie_cli.data.base import IMAGE_SHAPES, Dataset, DatasetName
from pie_cli.data.load import load_dataset
from pie_cli.errors import PIEError
from pie_cli.plots import figures
from tests import test_data
from tests.test_data import FILES, IMAGES, LABELS, check_small_mnist, place

small_mnist = test_data.small_mnist  # no test reaches a real mirror or index

COLOURED = np.random.RandomState(1).randint(0, 256, (12, 3, 32, 32), dtype=np.uint8)


# Files of the same formats: 8 training and 4 test images


def python2_pickle(pixels: NDArray[np.uint8], labels: NDArray[np.uint8], by_columns: bool = False) -> bytes:
    """Return a batch of CIFAR-10 as Python 2's cPickle and the NumPy of then wrote it, in protocol 2."""

    def text(*words: str) -> bytes:
        return b"".join(b"U" + bytes([len(word)]) + word.encode() + b"q\x01" for word in words)

    numbers = b"".join(b"K" + bytes([label]) for label in labels)
    shape = b"K\x01" + b"".join(b"M" + struct.pack("<H", size) for size in pixels.shape) + b"\x86q\x05"
    dtype = b"cnumpy\ndtype\nq\x06U\x02u1K\x00K\x01\x87Rq\x07(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    content = pixels.tobytes("F" if by_columns else "C")
    raw = (b"\x88" if by_columns else b"\x89") + b"T" + struct.pack("<I", len(content)) + content + b"tb"
    empty = b"cnumpy.core.multiarray\n_reconstruct\nq\x02cnumpy\nndarray\nq\x03K\x00\x85U\x01b\x87Rq\x04("
    images = empty + shape + dtype + raw
    names = b"]q\x01(" + text(*(f"number_{number}.png" for number in range(len(labels)))) + b"e"
    # A list is written in pieces of a thousand.
    split = len(numbers) // 4 * 2
    classes = b"]q\x01(" + numbers[:split] + b"e(" + numbers[split:] + b"e"
    entries = text("batch_label", "a batch of 6") + text("labels") + classes + text("data") + images
    return b"\x80\x02}q\x01(" + entries + text("filenames") + names + b"u."


FLAT = COLOURED.reshape(12, -1)
BATCHES = {
    "data_batch_1": python2_pickle(FLAT[:5], LABELS[:5]),
    "data_batch_2": python2_pickle(FLAT[5:8], LABELS[5:8], by_columns=True),
    "test_batch": python2_pickle(FLAT[8:], LABELS[8:]),
}


def tar_gz(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(f"{CIFAR10.base_folder}/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def mat(part: slice) -> bytes:
    buffer = io.BytesIO()
    labels = np.where(LABELS[part] == 0, 10, LABELS[part])[:, None]
    savemat(buffer, {"X": COLOURED[part].transpose(2, 3, 1, 0), "y": labels}, do_compression=True)
    return buffer.getvalue()


PACKED = {f"{name}.gz": gzip.compress(content) for name, content in FILES.items()}
SETS = {  # the folder below the data folder, and the files that belong there
    "fashion-mnist": ("FashionMNIST/raw", PACKED),
    "kmnist": ("KMNIST/raw", PACKED),
    "cifar10": (".", {CIFAR10.filename: tar_gz(BATCHES | {"batches.meta": b"?", "readme.html": b"<html>"})}),
    "svhn": (".", {"train_32x32.mat": mat(slice(8)), "test_32x32.mat": mat(slice(8, 12))}),
}
each_set = pytest.mark.parametrize("name", SETS)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def know(monkeypatch: pytest.MonkeyPatch, name: str, files: Mapping[str, bytes], address: str) -> None:
    """Make these the files that torchvision lists for a set, at this address."""
    hashes = [(file, md5(content)) for file, content in files.items()]
    if name == "cifar10":
        monkeypatch.setattr(CIFAR10, "url", f"{address}{CIFAR10.filename}")
        monkeypatch.setattr(CIFAR10, "tgz_md5", hashes[0][1])
    elif name == "svhn":
        splits = {file.partition("_")[0]: [f"{address}{file}", file, digest] for file, digest in hashes}
        monkeypatch.setattr(SVHN, "split_list", splits | {"extra": [address, "extra_32x32.mat", ""]})
    else:
        known = {"fashion-mnist": FashionMNIST, "kmnist": KMNIST}[name]
        monkeypatch.setattr(known, "resources", hashes)
        monkeypatch.setattr(known, "mirrors", [address])


def know_batches(monkeypatch: pytest.MonkeyPatch, batches: Mapping[str, bytes]) -> None:
    lists: dict[bool, list[list[str]]] = {True: [], False: []}
    for name, content in batches.items():
        lists[name == "test_batch"].append([name, md5(content)])
    monkeypatch.setattr(CIFAR10, "train_list", lists[False])
    monkeypatch.setattr(CIFAR10, "test_list", lists[True])


class Server(http.server.BaseHTTPRequestHandler):
    """Answers as the first part of the path says, for the set that the second names."""

    def do_GET(self) -> None:
        behaviour, name, file = self.path.strip("/").split("/")
        content = SETS[name][1][file] if behaviour == "good" else b"<!doctype html><title>Please log in</title>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,)).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(autouse=True)
def small_sets(monkeypatch: pytest.MonkeyPatch, server: str) -> None:
    """Make the files above the ones that torchvision lists."""
    for name, (_, files) in SETS.items():
        know(monkeypatch, name, files, f"{server}/good/{name}/")
    know_batches(monkeypatch, BATCHES)


def check(name: DatasetName, dataset: Dataset) -> None:
    """Check that these are the images and labels above, in the right parts."""
    parts = (dataset.train, dataset.validation, dataset.test)
    images = IMAGES[:, None] if "mnist" in name else COLOURED
    assert dataset.name == name
    assert [len(part) for part in parts] == [5, 3, 4]
    assert dataset.image_shape == IMAGE_SHAPES[name]
    assert torch.equal(torch.cat([part.images for part in parts]), torch.from_numpy(images))
    labels = torch.cat([part.labels for part in parts if part.labels is not None])
    assert torch.equal(labels, torch.from_numpy(LABELS).long())
    assert dataset.classes is not None
    assert len(dataset.classes) == 10


# The data folder


@each_set
def test_files_in_the_data_folder_open_no_socket_and_write_nothing(
    name: DatasetName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, files = SETS[name]
    place(tmp_path / folder, dict(files))
    before = sorted(tmp_path.rglob("*"))
    monkeypatch.setattr(socket, "socket", None)
    lines: list[str] = []
    check(name, load_dataset(name, tmp_path, offline=True, report=lines.append))
    assert lines == [f"{name}: {tmp_path} (MD5 verified)"]
    assert sorted(tmp_path.rglob("*")) == before


@each_set
def test_offline_without_files_says_what_to_put_where(
    name: DatasetName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "socket", None)
    folder, files = SETS[name]
    with pytest.raises(PIEError) as caught:
        load_dataset(name, tmp_path, offline=True)
    assert f"lacks {', '.join(files)}, and `offline`" in str(caught.value)
    assert f"put what is missing into {tmp_path / folder}, " in str(caught.value)
    assert "\n" not in str(caught.value)


@each_set
@pytest.mark.parametrize("damage", ["altered", "cut", "empty"])
def test_a_bad_file_is_named_with_what_to_do(damage: str, name: str, tmp_path: Path) -> None:
    folder, files = SETS[name]
    file, content = next(iter(files.items()))
    bad = {"altered": content[:-1] + bytes([content[-1] ^ 1]), "cut": content[:-20], "empty": b""}[damage]
    place(tmp_path / folder, {**files, file: bad})
    with pytest.raises(PIEError, match=rf"wrong MD5.*: {tmp_path / folder / file}; delete and rerun") as caught:
        load_dataset(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_torchvisions_dotted_names_are_taken_too(tmp_path: Path) -> None:
    files = {name.replace("-idx", ".idx"): content for name, content in PACKED.items()}
    place(tmp_path / "FashionMNIST" / "raw", files)
    check("fashion-mnist", load_dataset("fashion-mnist", tmp_path, offline=True))


@pytest.mark.parametrize(("name", "known"), [("fashion-mnist", FashionMNIST), ("kmnist", KMNIST)])
def test_the_classes_are_torchvisions(name: str, known: type[MNIST]) -> None:
    assert named.LOADS[name][1] == tuple(known.classes)


# MNIST's files as people download them


@pytest.mark.parametrize("spelling", ["{}.gz", "dotted {}", "dotted {}.gz"])
@pytest.mark.parametrize("layout", ["MNIST/raw", "."])
def test_files_downloaded_by_hand_are_taken_under_their_other_names(layout: str, spelling: str, tmp_path: Path) -> None:
    """Some mirrors write train-images.idx3-ubyte, and a browser may keep the .gz or unpack it."""
    pack = gzip.compress if spelling.endswith(".gz") else bytes
    names = {name: spelling.format(name) for name in FILES}
    if spelling.startswith("dotted "):
        names = {name: other.removeprefix("dotted ").replace("-idx", ".idx") for name, other in names.items()}
    place(tmp_path / layout, {names[name]: pack(content) for name, content in FILES.items()})
    check_small_mnist(load_dataset("mnist", tmp_path, offline=True))


@pytest.mark.parametrize("damage", ["cut", "other", "bomb", "no .gz"])
def test_a_bad_gz_is_named(damage: str, tmp_path: Path) -> None:
    good = gzip.compress(FILES[mnist.TRAIN_IMAGES])
    bad = {"cut": good[:-9], "other": gzip.compress(b"?"), "bomb": gzip.compress(bytes(2**27)), "no .gz": b"<html>"}
    place(tmp_path, {f"{name}.gz": gzip.compress(content) for name, content in FILES.items()})
    place(tmp_path, {f"{mnist.TRAIN_IMAGES}.gz": bad[damage]})
    with pytest.raises(PIEError, match=rf"wrong SHA-256.*: {tmp_path / mnist.TRAIN_IMAGES}\.gz; delete"):
        load_dataset("mnist", tmp_path, offline=True)


# Downloads


@each_set
def test_files_are_fetched_once_and_kept_as_torchvision_lays_them_out(name: DatasetName, tmp_path: Path) -> None:
    folder, files = SETS[name]
    lines: list[str] = []
    check(name, load_dataset(name, tmp_path, report=lines.append))
    assert lines[0].endswith("; trying torchvision's mirrors")
    assert lines[1].endswith(f"(MD5 verified), kept in {tmp_path / folder}")
    assert {file: (tmp_path / folder / file).read_bytes() for file in files} == files
    check(name, load_dataset(name, tmp_path, offline=True))


@each_set
def test_a_web_page_in_place_of_a_file_is_one_line_with_what_to_put_where(
    name: str, server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, files = SETS[name]
    know(monkeypatch, name, files, f"{server}/web-page/{name}/")
    with pytest.raises(PIEError) as caught:
        load_dataset(name, tmp_path)
    assert f"sent a web page or something else instead of {next(iter(files))} (wrong MD5)" in str(caught.value)
    assert f"that has {', '.join(files)}, put what is missing into {tmp_path / folder}, " in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [".lock"]


@pytest.mark.parametrize(("classes", "kind"), [(("0", "1", "2", *"3456789"), "digit"), (("cat", "dog"), "class")])
def test_legends_name_the_classes(classes: tuple[str, ...], kind: str) -> None:
    points, labels = np.zeros((4, 2), np.float32), np.array([0, 1, 1, 0])
    (legend,) = (axes.get_legend() for axes in figures.embedding(points, labels, "title", classes).axes)
    assert legend is not None
    assert legend.get_title().get_text() == kind
    assert [text.get_text() for text in legend.get_texts()] == list(classes[:2])
