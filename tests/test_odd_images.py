"""Images of one's own that are odd and still good: names, links, archives, arrays, and what lies in the cache."""

from __future__ import annotations

import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pie_cli.data.base import DataConfig
from pie_cli.data.own import prepared
from pie_cli.errors import PIEError
from pie_cli.runs.folder import Run
from tests import commands
from tests.pictures import load, picture, write_folder


def known(path: Path, cache: Path, **settings: bool) -> DataConfig:
    """Return what a run would remember of the images."""
    config = load(path, cache, **settings)[0].config
    assert config is not None
    return config


def set_back(path: Path, content: bytes) -> None:
    """Write a file so that its time stays."""
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(before, before))


def test_names_that_are_not_text(tmp_path: Path) -> None:
    """A folder and a class whose names are bytes."""
    folder = write_folder(tmp_path / "set", {"a": 20, "b": 20}, width=8, height=8)
    os.rename(folder / "a", os.fsencode(folder) + b"/\xff")
    folder = folder.rename(os.fsdecode(os.fsencode(tmp_path) + b"/\xfe"))
    options = [*commands.SMALL.split(), "--epochs", "1", "--batch-size", "16", "--results-dir", "results"]
    assert commands.run("train", "--dataset", folder, *options, cwd=tmp_path).code == 0
    config = Run.open(tmp_path / "results" / "pie---d4-eps0.01-seed0").config
    assert config.images == str(folder)
    assert config.data is not None
    assert config.data.classes == ("b", "\\udcff")


def test_a_long_name_is_cut(tmp_path: Path) -> None:
    """A run's folder has the images' name in its own, and what else differs."""
    dataset, _ = load(write_folder(tmp_path / ("long\\" + "é" * 120), {"": 9}), tmp_path / "cache")
    assert dataset.name == "long-" + "é" * 37


def test_links_to_folders_are_followed_and_loops_end(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", {"train/a": 5, "train/b": 5, "val/a": 2, "val/b": 2})
    (folder / "test").symlink_to("val")
    (folder / "train" / "a" / "loop").symlink_to(folder)
    dataset, _ = load(folder, tmp_path / "cache")
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [10, 4, 4]


def test_links_to_links_do_not_multiply(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / "set" / f"{number}").mkdir(parents=True)
        for side in "lr":
            (tmp_path / "set" / f"{number}" / side).symlink_to(f"../{number + 1}")
    write_folder(tmp_path / "set", {"30": 9})
    assert len(load(tmp_path / "set", tmp_path / "cache")[0].train) > 0


def test_folders_nested_more_deeply_than_calls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "set").mkdir()
    monkeypatch.chdir(tmp_path / "set")
    for _ in range(1200):
        os.mkdir("d")
        os.chdir("d")
    for number in range(5):
        picture(number).save(f"{number}.png")
    assert len(load(tmp_path / "set", tmp_path / "cache")[0].train) == 3
    for number in range(5):
        os.remove(f"{number}.png")
    for _ in range(1200):  # whoever tidies up cannot go so deep either
        os.chdir("..")
        os.rmdir("d")


def test_other_names_of_the_parts_and_of_pictures(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", {"training/a": 5, "testing/a": 3})
    picture(9).save(folder / "training" / "a" / "x.jfif", format="JPEG")
    (folder / "notes.txt").write_text("")
    dataset, lines = load(folder, tmp_path / "cache")
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [5, 1, 3]
    assert any("1 files are ignored" in line and line.endswith(": notes.txt") for line in lines)


def test_an_archive_whose_names_begin_with_a_dot(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", {"a": 5, "b": 5})
    with zipfile.ZipFile(tmp_path / "set.zip", "w") as archive:
        for path in folder.rglob("*.png"):
            (member := zipfile.ZipInfo()).filename = f"./{path.parent.name}//{path.name}"
            archive.writestr(member, path.read_bytes())
    assert known(tmp_path / "set.zip", tmp_path / "cache") == known(folder, tmp_path / "cache")


def test_a_very_narrow_picture_is_not_lost_in_its_margins(tmp_path: Path) -> None:
    (folder := tmp_path / "set").mkdir()
    for number in range(3):
        Image.new("L", (1000, 1)).save(folder / f"{number}.png")
    dataset, _ = load(folder, tmp_path / "cache", image_size=8, pad=True)
    assert [sorted(set(row)) for row in dataset.train.images[0, 0].tolist()].count([0]) == 1


def test_damaged_metadata_do_not_spoil_a_picture(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", {"": 9})
    picture(0).save(folder / "0000.png", exif=b"Exif\0\0no metadata at all")
    assert known(folder, tmp_path / "cache") == known(write_folder(tmp_path / "other", {"": 9}), tmp_path / "cache")


@pytest.mark.parametrize("kind", [">u2", "<u2", ">f4", "<f2", ">f8"])
def test_arrays_of_every_byte_order(kind: str, tmp_path: Path) -> None:
    grey = np.random.default_rng(0).integers(0, 256, (30, 8, 8), np.uint8)
    np.save(tmp_path / "grey.npy", grey)
    np.save(tmp_path / "other.npy", (grey / 255 if "f" in kind else grey.astype(int) * 257).astype(kind))
    assert known(tmp_path / "other.npy", tmp_path / "cache") == known(tmp_path / "grey.npy", tmp_path / "cache")


def test_arrays_that_are_not_used_may_be_anything(tmp_path: Path) -> None:
    grey = np.zeros((9, 8, 8), np.uint8)
    np.savez(tmp_path / "set.npz", x_train=grey, facts=np.array([{}], object), x_test=grey[:0])
    dataset, _ = load(tmp_path / "set.npz", tmp_path / "cache")
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [7, 1, 1]


# What changes, and what lies in the cache


def test_other_content_of_the_same_size_and_time_is_noticed(tmp_path: Path) -> None:
    path, cache = tmp_path / "set.npy", tmp_path / "cache"
    np.save(path, np.zeros((9, 8, 8), np.uint8))
    first = known(path, cache)
    shutil.copy2(path, tmp_path / "copy.npy")
    np.save(tmp_path / "new.npy", np.ones((9, 8, 8), np.uint8))
    set_back(path, (tmp_path / "new.npy").read_bytes())
    assert known(path, cache) != first
    assert known(tmp_path / "copy.npy", cache) == first


def test_a_good_copy_of_an_archive_is_read(tmp_path: Path) -> None:
    """A damaged one has the same directory, so its checksums say nothing."""
    folder, path = write_folder(tmp_path / "set", {"": 9}), tmp_path / "set.zip"
    shutil.make_archive(str(tmp_path / "set"), "zip", folder)
    good = path.read_bytes()
    at = good.index(b"\x89PNG") + 40
    set_back(path, good[:at] + bytes(8) + good[at + 8 :])
    with pytest.raises(PIEError, match="1 of 9 pictures"):
        load(path, tmp_path / "cache")
    set_back(path, good)
    assert len(load(path, tmp_path / "cache")[0].train) == 7


def flipped(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 0x90
    path.write_bytes(content)


NOTES: dict[str, Callable[[Path], object]] = {
    "first byte": lambda path: flipped(path, 0),
    "middle": lambda path: flipped(path, path.stat().st_size // 2),
    "another picture": lambda path: path.write_bytes(path.read_bytes().replace(b"[[3,", b"[[4,")),
    "a number": lambda path: path.write_bytes(path.read_bytes().replace(b'"number": 0', b'"number": -1')),
    "zeros": lambda path: path.write_bytes(bytes(1000)),
    "half a line": lambda path: os.truncate(path, path.stat().st_size - 20),
}


def interrupted(*arguments: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", NOTES)
def test_damaged_notes_of_a_preparation_cost_time_only(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = write_folder(tmp_path / "set", {"": 9})
    (folder / "0003.png").write_bytes(b"")
    whole = known(folder, tmp_path / "whole", skip_unreadable=True)
    with monkeypatch.context() as patched:
        patched.setattr(prepared, "_arrange", interrupted)
        with pytest.raises(KeyboardInterrupt):
            load(folder, tmp_path / "cache", skip_unreadable=True)
    (notes,) = (tmp_path / "cache" / "prepared").glob("*.progress")
    NOTES[name](notes)
    litter = notes.with_name(f".{notes.stem}.images.x.images")
    litter.write_bytes(b"half")
    assert known(folder, tmp_path / "cache", skip_unreadable=True) == whole
    assert sorted(path.suffix for path in notes.parent.iterdir()) == [".images", ".json", ".lock"]
