"""Images of one's own: from folders, archives and arrays to three parts, whatever place they lie in."""

from __future__ import annotations

import json
import multiprocessing
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pie_cli.data.base import ImageSet
from pie_cli.data.own import decoding
from pie_cli.data.own.listing import Listing, list_pictures
from pie_cli.data.own.splits import split
from pie_cli.errors import PIEError
from tests import commands
from tests.pictures import load, picture, write_folder

CLASSES = {"Red Fox": 20, "ねこ": 30}


def content(images: ImageSet) -> list[bytes]:
    """Return each image's bytes."""
    return [image.numpy().tobytes() for image in images.images]


def test_a_folder_has_classes_and_parts_that_are_drawn(tmp_path: Path) -> None:
    dataset, _ = load(write_folder(tmp_path / "my.cats-2", CLASSES), tmp_path / "cache")
    assert dataset.name == "my.cats-2"
    assert dataset.classes == ("Red Fox", "ねこ")
    assert dataset.image_shape == (3, 8, 12)
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [44, 3, 3]
    assert dataset.config is not None
    assert dataset.config.drawn == ("validation", "test")
    for part in (dataset.train, dataset.validation, dataset.test):
        assert part.labels is not None
        assert set(part.labels.tolist()) == {0, 1}
    everything = [one for part in (dataset.train, dataset.validation, dataset.test) for one in content(part)]
    known = [np.asarray(picture(n)).transpose(2, 0, 1).tobytes() for n in [*range(20), *range(1000, 1030)]]
    assert sorted(everything) == sorted(known)
    assert dataset.train.labels is not None
    label = {image: number >= 20 for number, image in enumerate(known)}
    assert [label[image] for image in content(dataset.train)] == dataset.train.labels.bool().tolist()


def test_the_same_pictures_are_the_same_set_wherever_they_lie(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "a" / "set", CLASSES)
    shutil.copytree(folder, tmp_path / "b" / "set")
    shutil.make_archive(str(tmp_path / "c"), "zip", tmp_path / "a")
    (tmp_path / "link").symlink_to(folder)
    places = [folder, tmp_path / "b" / "set", tmp_path / "c.zip", tmp_path / "link"]
    configs = [load(place, tmp_path / f"cache{n}")[0].config for n, place in enumerate(places)]
    assert len(set(configs)) == 1
    picture(7).save(folder / "ねこ" / "0000.png")
    changed = load(folder, tmp_path / "cache0")[0].config
    assert changed is not None
    assert changed != configs[0]


def test_parts_that_are_there_are_kept(tmp_path: Path) -> None:
    counts = {"Train/x": 5, "Train/y": 6, "valid/x": 2, "test/y": 3}
    dataset, _ = load(write_folder(tmp_path / "set", counts), tmp_path / "cache")
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [11, 2, 3]
    assert dataset.test.labels is not None
    assert dataset.test.labels.tolist() == [1, 1, 1]
    assert dataset.config is not None
    assert dataset.config.drawn == ()


def test_a_flat_folder_has_no_classes(tmp_path: Path) -> None:
    dataset, lines = load(write_folder(tmp_path / "set", {"": 20}), tmp_path / "cache")
    assert dataset.classes is None
    assert dataset.train.labels is None
    assert [len(part) for part in (dataset.train, dataset.validation, dataset.test)] == [18, 1, 1]
    assert "preparing 20 pictures as 3×8×12" in lines[0]
    _, again = load(tmp_path / "set", tmp_path / "cache")
    assert not any("preparing" in line for line in again)


def test_what_is_made_of_a_picture(tmp_path: Path) -> None:
    """Turned by EXIF, laid on white, grey of 16 bits, palettes, CMYK, the first frame."""
    (folder := tmp_path / "set").mkdir()
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    half = np.zeros((8, 8, 3), np.uint8)
    half[:4] = 255
    Image.fromarray(half).save(folder / "a.png", exif=exif)
    Image.new("RGBA", (8, 8), (255, 0, 0, 0)).save(folder / "b.png")
    Image.fromarray(np.full((8, 8), 65535, np.uint16)).save(folder / "c.png")
    Image.new("CMYK", (8, 8), (0, 0, 0, 255)).save(folder / "d.jpg")
    Image.new("L", (8, 8), 0).save(folder / "e.gif", save_all=True, append_images=[Image.new("L", (8, 8), 255)])
    preview = [Image.new("RGB", (4, 4))]  # as a telephone's photographs have, which is no next frame
    Image.new("RGB", (8, 8)).save(folder / "f.jpg", format="MPO", save_all=True, append_images=preview)
    dataset, lines = load(folder, tmp_path / "cache")
    found = {bytes(one) for part in (dataset.train, dataset.validation, dataset.test) for one in content(part)}
    assert dataset.image_shape == (1, 8, 8)  # none has a colour
    turned = half[..., 0].T[:, ::-1]
    assert {turned.tobytes(), b"\xff" * 64, b"\0" * 64} == found
    assert any("1 pictures have transparent parts" in line for line in lines)
    assert any("1 pictures are animated" in line for line in lines)


@pytest.mark.parametrize(("pad", "column"), [(False, 0), (True, 255)])
def test_a_size_is_cut_or_filled_up(pad: bool, column: int, tmp_path: Path) -> None:
    (folder := tmp_path / "set").mkdir()
    for number in range(3):
        Image.new("RGB", (16, 8 + number), (255, 0, 0)).save(folder / f"{number}.png")
    dataset, _ = load(folder, tmp_path / "cache", image_size=8, pad=pad)
    assert dataset.image_shape == (3, 8, 8)
    assert dataset.train.images[0, 1, 0].tolist() == [column] * 8  # green: white margins have it, and red has none
    grey, _ = load(folder, tmp_path / "cache", image_size=8, grayscale=True)
    assert grey.image_shape == (1, 8, 8)


@pytest.mark.filterwarnings("error::UserWarning")
def test_an_array_that_python_2_wrote(tmp_path: Path) -> None:
    np.save(tmp_path / "new.npy", np.zeros((10, 8, 8), np.uint8))
    content = (tmp_path / "new.npy").read_bytes()
    (tmp_path / "old.npy").write_bytes(content.replace(b"(10, 8, 8), } ", b"(10L, 8, 8), }"))
    assert load(tmp_path / "old.npy", tmp_path / "cache")[0].image_shape == (1, 8, 8)


@pytest.mark.parametrize("kind", ["uint8", "bool", "float32", "uint16"])
def test_arrays_as_medmnist_and_keras_name_them(kind: str, tmp_path: Path) -> None:
    grey = torch.randint(0, 2, (30, 8, 8), generator=torch.Generator().manual_seed(0)).numpy().astype(kind)
    grey = grey * np.array({"uint8": 255, "uint16": 65535}.get(kind, 1), kind)
    labels = np.arange(30).reshape(-1, 1) % 3 + 4
    np.savez_compressed(tmp_path / "med.npz", train_images=grey[:20], train_labels=labels[:20],
                        val_images=grey[20:24], val_labels=labels[20:24], test_images=grey[24:],
                        test_labels=labels[24:])  # fmt: skip
    np.savez(tmp_path / "keras.npz", x_train=grey, y_train=labels[:, 0])
    np.save(tmp_path / "one.npy", grey[..., None])
    med, keras, one = (load(tmp_path / name, tmp_path / "cache")[0] for name in ("med.npz", "keras.npz", "one.npy"))
    assert [len(part) for part in (med.train, med.validation, med.test)] == [20, 4, 6]
    assert med.classes == keras.classes == ("4", "5", "6")
    assert one.classes is None
    assert med.image_shape == keras.image_shape == one.image_shape == (1, 8, 8)
    wanted = sorted((255 * (grey > 0).astype(np.uint8))[i].tobytes() for i in range(30))
    for dataset in (med, keras, one):
        parts = (dataset.train, dataset.validation, dataset.test)
        assert sorted(image for part in parts for image in content(part)) == wanted
    assert med.test.labels is not None
    by_image = {image.tobytes(): label for image, label in zip(255 * (grey > 0).astype(np.uint8), labels[:, 0] - 4)}  # noqa: B905
    assert [by_image[image] for image in content(med.test)] == med.test.labels.tolist()


@given(st.lists(st.integers(3, 60), min_size=1, max_size=4))
def test_parts_are_disjoint_whole_and_have_each_class(counts: list[int]) -> None:
    labels = [label for label, count in enumerate(counts) for _ in range(count)]
    listing = Listing([""] * len(labels), None, labels, tuple(map(str, range(len(counts)))))
    parts, drawn = split(listing, np.arange(len(labels)))
    assert drawn == ("validation", "test")
    assert sorted(i for part in parts.values() for i in part.tolist()) == list(range(len(labels)))
    for part in parts.values():
        assert {labels[i] for i in part} == set(range(len(counts)))
    assert len(parts["test"]) == sum(max(1, round(0.05 * count)) for count in counts)


def test_folders_around_the_set_are_passed_over() -> None:
    listing = list_pictures([("data", "v2", name, f"{n}.png") for name in ("a", "b") for n in range(2)])
    assert listing.classes == ("a", "b")
    assert list_pictures([("only", "0.png"), ("only", "1.png")]).classes is None


# The prepared file


def test_a_prepared_file_that_is_damaged_is_made_again(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", CLASSES)
    first, _ = load(folder, tmp_path / "cache")
    known = first.train.images.clone()
    (file,) = (tmp_path / "cache" / "prepared").glob("*.images")
    changed = bytearray(file.read_bytes())
    changed[100] ^= 1
    file.write_bytes(changed)
    again, lines = load(folder, tmp_path / "cache")
    assert any("is damaged" in line for line in lines)
    assert again.config == first.config
    assert torch.equal(again.train.images, known)


def _load_and_tell(folder: Path, cache: Path) -> None:
    load(folder, cache)


def test_a_preparation_that_is_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_folder(tmp_path / "set", {"a": 1500, "b": 1500}, width=96, height=96)
    process = multiprocessing.get_context("spawn").Process(target=_load_and_tell, args=(folder, tmp_path / "cache"))
    process.start()
    notes: list[Path] = []
    while not notes or notes[0].read_text().count("\n") < 2:  # the first block is done
        time.sleep(0.02)
        assert process.is_alive()
        notes = list((tmp_path / "cache" / "prepared").glob("*.progress"))
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    noted = {json.loads(line)["number"] for line in notes[0].read_text().splitlines()[1:]}
    (partial,) = (tmp_path / "cache" / "prepared").glob("*.partial")
    made: list[int] = []

    def make(plan: decoding.Plan, number: int) -> decoding.Block:
        made.append(number)
        return whole_make(plan, number)

    whole_make = decoding.Plan.make
    monkeypatch.setattr(decoding, "cores", lambda: 1)  # in this process
    monkeypatch.setattr(decoding.Plan, "make", make)
    dataset, _ = load(folder, tmp_path / "cache")
    assert noted
    assert sorted(made) == sorted({0, 1, 2} - noted)
    assert not partial.exists()
    whole, _ = load(folder, tmp_path / "other")
    assert dataset.config == whole.config


def test_memory_is_given_back(tmp_path: Path) -> None:
    """What was read of a mapped file does not stay in memory."""
    dataset, _ = load(write_folder(tmp_path / "set", {"": 400}, width=128, height=128), tmp_path / "cache")

    def resident() -> int:
        """Bytes of mapped files in memory."""
        (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssFile"))
        return int(line.split()[1]) * 1024

    dataset.train.release()
    before = resident()
    assert int(dataset.train.images.sum()) > 0
    assert resident() - before > 10e6
    taken = dataset.train.take(torch.arange(5))
    assert resident() - before < 5e6
    assert torch.equal(taken, dataset.train.images[:5])


# Through the command line


def train(folder: Path, *more: object) -> commands.Done:
    options = [*commands.SMALL.split(), "--epochs", "1", "--batch-size", "16", "--results-dir", "results", *more]
    return commands.run("train", "--dataset", folder, *options, cwd=folder.parent)


def test_from_a_folder_to_figures(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "my cats", {"Red Fox": 40, "ねこ": 40}, width=8, height=8)
    assert train(folder).code == 0
    run = tmp_path / "results" / "pie-my cats-d4-eps0.01-seed0"
    for command in ("reconstruct", "umap", "sample", "interpolate --rows 1", "interpolate --from ねこ --to red\\ fox"):
        words = [word.replace("\\", "") for word in command.replace("\\ ", "\0").split()]
        done = commands.run(*[word.replace("\0", " ") for word in words], run, cwd=tmp_path)
        assert (done.code, done.stderr) == (0, "")
    shutil.move(folder, tmp_path / "moved")
    gone = commands.run("umap", run, cwd=tmp_path)
    assert "which is not there any more; say where they are with --dataset" in gone.stderr
    assert commands.run("umap", run, "--dataset", "moved", cwd=tmp_path).code == 0
    (tmp_path / "moved" / "ねこ" / "0000.png").unlink()
    other = commands.run("umap", run, "--dataset", "moved", cwd=tmp_path)
    assert other.stderr.count("\n") == 1
    assert "was trained on; put those back" in other.stderr
    assert commands.run("umap", run, "--dataset", "digits", cwd=tmp_path).code == 2


def test_a_run_goes_on_with_the_same_images_only(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "set", {"a": 40, "b": 40}, width=8, height=8)
    assert train(folder).code == 0
    assert "is complete" in train(folder, "--resume").stdout
    assert "is complete" in train(tmp_path / "." / "set", "--resume").stdout
    assert train(folder, "--image-size", "4", "--conv-blocks", "1", "--linear-dims", "").code == 0
    names = {path.name for path in (tmp_path / "results").glob("pie-*")}
    assert {name.split("-d4-")[0] for name in names} == {"pie-set", "pie-set-size4"}
    picture(99, 8, 8).save(folder / "a" / "0000.png")
    changed = train(folder, "--resume")
    assert changed.code == 2
    assert "was trained with other settings (sha256:" in changed.stderr


def test_a_set_named_like_one_of_ours_is_one_s_own(tmp_path: Path) -> None:
    dataset, _ = load(write_folder(tmp_path / "mnist", {"": 10}), tmp_path / "cache")
    assert dataset.name == "own-mnist"
    with pytest.raises(PIEError, match="for pictures of your own"):
        load(Path("mnist"), tmp_path / "cache", image_size=8)
