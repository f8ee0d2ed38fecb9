"""CIFAR-10's archive and its pickles, which are read but never unpickled; small ones stand for the real ones."""

from __future__ import annotations

import gzip
import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torchvision.datasets import CIFAR10

from pie_cli.data import cifar
from pie_cli.data.load import load_dataset
from pie_cli.errors import PIEError
from tests import test_data, test_named_sets
from tests.test_data import LABELS, place
from tests.test_named_sets import BATCHES, FLAT, check, know, know_batches, python2_pickle, tar_gz

# Small files stand for the real ones.
small_mnist, server, small_sets = test_data.small_mnist, test_named_sets.server, test_named_sets.small_sets


@pytest.mark.parametrize("batch", BATCHES)
def test_a_batch_is_read_as_unpickling_would_read_it(batch: str) -> None:
    entries = pickle.loads(BATCHES[batch], encoding="latin-1")
    pixels, labels = cifar._parse(BATCHES[batch])
    assert np.array_equal(pixels, entries["data"])
    assert labels == entries["labels"]


def test_an_unpacked_archive_is_taken_as_it_is(tmp_path: Path) -> None:
    place(tmp_path / CIFAR10.base_folder, BATCHES)
    check("cifar10", load_dataset("cifar10", tmp_path, offline=True))
    place(tmp_path / CIFAR10.base_folder, {"test_batch": BATCHES["test_batch"][:-1]})
    with pytest.raises(PIEError, match=r"wrong MD5.*test_batch; delete"):
        load_dataset("cifar10", tmp_path, offline=True)


class Malicious:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, ("pwned",)


HOSTILE = {
    "runs a function": pickle.dumps(Malicious(), 2),
    "runs a function among labels": pickle.dumps({"labels": [1, Malicious()]}, 2),
    "too few labels": python2_pickle(FLAT[:5], LABELS[:4]),
    "a label of no class": python2_pickle(FLAT[:1], np.array([10], np.uint8)),
    "half an image": python2_pickle(FLAT[:1, :1000], LABELS[:1]),
    "an endless string": b"\x80\x02T\xff\xff\xff\x7f",
    "no end": BATCHES["test_batch"][:-1],
    "empty": b"",
}


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("packed", [True, False])
def test_a_hostile_batch_with_a_matching_hash_is_refused_and_not_run(
    packed: bool, hostile: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = BATCHES | {"data_batch_2": HOSTILE[hostile]}
    archive = {CIFAR10.filename: tar_gz(batches)}
    know_batches(monkeypatch, batches)
    know(monkeypatch, "cifar10", archive, "http://localhost/")
    place(tmp_path / "data" / ("." if packed else CIFAR10.base_folder), archive if packed else batches)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PIEError, match="do not have the known form") as caught:
        load_dataset("cifar10", tmp_path / "data", offline=True)
    assert "\n" not in str(caught.value)
    assert not Path("pwned").exists()


def test_a_hostile_call_beside_good_arrays_is_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    call = pickle.dumps(Malicious(), 2)
    _, labels = cifar._parse(BATCHES["test_batch"][:-1] + call[2:])
    assert labels == LABELS[8:].tolist()
    assert not Path("pwned").exists()


ARCHIVE = tar_gz(BATCHES)
BAD_ARCHIVES = {
    "a web page": b"<html>",
    "no tar": gzip.compress(b"?" * 2_000),
    "cut": ARCHIVE[: len(ARCHIVE) // 2],
    "a batch is missing": tar_gz({name: content for name, content in BATCHES.items() if name != "test_batch"}),
}


@pytest.mark.parametrize("bad", BAD_ARCHIVES)
def test_a_bad_archive_with_a_matching_hash_is_one_line(
    bad: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = {CIFAR10.filename: BAD_ARCHIVES[bad]}
    know(monkeypatch, "cifar10", archive, "http://localhost/")
    place(tmp_path, archive)
    with pytest.raises(PIEError, match=r"archive is damaged|'test_batch'; use others") as caught:
        load_dataset("cifar10", tmp_path, offline=True)
    assert "\n" not in str(caught.value)


def test_an_archive_writes_nothing_wherever_its_names_lead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar, "LARGEST_BATCH", max(map(len, BATCHES.values())))
    large = {"../../pwned": b"?", "../test_batch": bytes(cifar.LARGEST_BATCH + 1)}
    archive = {CIFAR10.filename: tar_gz(BATCHES | large)}
    know(monkeypatch, "cifar10", archive, "http://localhost/")
    place(tmp_path / "a" / "data", archive)
    check("cifar10", load_dataset("cifar10", tmp_path / "a" / "data", offline=True))
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [CIFAR10.filename]
