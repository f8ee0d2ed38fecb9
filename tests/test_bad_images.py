"""What is wrong with images of one's own is one line that names it, before anything is trained."""

from __future__ import annotations

import os
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from pie_cli.data.own.pictures import LARGEST_PICTURE
from pie_cli.errors import PIEError
from tests import commands
from tests.pictures import good, huge_png, load, picture, write_folder, zipped


def put(name: str, content: bytes) -> Callable[[Path], Path]:
    """Return a function that makes a good folder with one more file."""

    def make(place: Path) -> Path:
        (good(place / "set") / name).write_bytes(content)
        return place / "set"

    return make


def truncated(place: Path) -> Path:
    path = good(place / "set") / "a" / "0003.png"
    path.write_bytes(path.read_bytes()[:80])
    return place / "set"


def many(place: Path) -> Path:
    for number in range(8):
        (good(place / "set") / "b" / f"x{number}.png").write_bytes(b"no picture")
    return place / "set"


def link_to_nowhere(place: Path) -> Path:
    (good(place / "set") / "a" / "gone.png").symlink_to("nowhere.png")
    return place / "set"


def postscript(place: Path) -> Path:
    """Return a folder with a file for which Pillow would start Ghostscript."""
    head = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n"
    return put("a/p.png", head)(place)


def name_of_bytes(place: Path) -> Path:
    path = os.fsencode(good(place / "set") / "a") + b"/\xff.png"
    with open(path, "wb"):
        return place / "set"


def damaged_member(place: Path) -> Path:
    """Return an archive that is whole but for a picture, whose compression ends in an exception of its own."""
    path = zipped(lambda z: z.writestr("a/0099.png", huge_png(), zipfile.ZIP_LZMA))(place)
    content = bytearray(path.read_bytes())
    at = content.index(b"a/0099.png") + 25
    content[at : at + 8] = b"\xff" * 8
    path.write_bytes(content)
    return path


def pipe(place: Path) -> Path:
    os.mkfifo(good(place / "set") / "a" / "p.png")
    return place / "set"


UNREADABLE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "truncated": (truncated, r"1 of 40 pictures .*a/0003.png \("),
    "empty": (put("a/e.png", b""), r"a/e.png \(it is empty\)"),
    "misnamed": (put("a/t.jpg", b"<html></html>"), r"a/t.jpg \(it is no picture\)"),
    "of absurd size": (
        put("a/h.png", huge_png()),
        rf"a/h.png \(it has more than {LARGEST_PICTURE:,}",
    ),
    "several": (many, r"8 of 48 pictures .*(b/x\d.png \(it is no picture\), ){4}b/x4.png .* and 3 more"),
    "another format": (postscript, r"a/p.png \(it is no picture\)"),
    "a name that is not text": (name_of_bytes, r"\(it is empty\)"),
    "damaged in an archive": (damaged_member, r"a/0099.png \(damaged in the archive"),
    "a pipe": (pipe, r"a/p.png \(it is not a regular file"),
    "vanished": (link_to_nowhere, r"a/gone.png \(No such file"),
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_files_that_cannot_be_read_are_named_or_left_out(name: str, tmp_path: Path) -> None:
    make, words = UNREADABLE[name]
    path = make(tmp_path)
    with pytest.raises(PIEError, match=words) as raised:
        load(path, tmp_path / "cache")
    assert "leave them out with `skip_unreadable`" in str(raised.value)
    dataset, lines = load(path, tmp_path / "cache", skip_unreadable=True)
    assert dataset.config is not None
    assert dataset.config.left_out == (8 if name == "several" else 1)
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 39 + (name != "truncated")
    assert any("are left out" in line for line in lines)


def link(archive: zipfile.ZipFile) -> None:
    member = zipfile.ZipInfo("a/link.png")
    member.external_attr = 0o120777 << 16
    archive.writestr(member, "/etc/passwd")


def encrypted(place: Path) -> Path:
    path = zipped(lambda archive: None)(place)
    content = bytearray(path.read_bytes())
    at = content.rindex(b"PK\x01\x02")  # the last member of the directory
    content[at + 8] |= 1
    path.write_bytes(content)
    return path


def header(words: str, version: bytes = b"\1\0") -> Callable[[Path], Path]:
    """Return a function that writes an .npy file with a header and 640 bytes of images."""

    def make(place: Path) -> Path:
        start = b"\x93NUMPY" + version + struct.pack("<H", len(words))
        (place / "set.npy").write_bytes(start + words.encode() + bytes(640))
        return place / "set.npy"

    return make


def shaped(shape: str) -> Callable[[Path], Path]:
    return header(f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}\n")


def two_of_a_name(place: Path) -> Path:
    array(np.zeros((9, 8, 8), np.uint8))(place)
    with zipfile.ZipFile(place / "set.npz", "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("train_images.npy", b"")
    return place / "set.npz"


def encrypted_array(place: Path) -> Path:
    path = array(np.zeros((9, 8, 8), np.uint8))(place)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x03\x04") + 6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    return path


def checksum(place: Path) -> Path:
    """Return a whole archive with a byte that has changed in the last image."""
    path = array(np.zeros((40, 64, 64), np.uint8))(place)
    content = bytearray(path.read_bytes())
    content[content.index(b"PK\x01\x02") - 9] = 7
    path.write_bytes(content)
    return path


def waiting(place: Path) -> Path:
    os.mkfifo(place / "set.npy")
    return place / "set.npy"


def array(values: object, **more: object) -> Callable[[Path], Path]:
    def make(place: Path) -> Path:
        np.savez(place / "set.npz", train_images=np.asarray(values), **more)  # type: ignore[arg-type]
        return place / "set.npz"

    return make


def other_names(place: Path) -> Path:
    np.savez(place / "set.npz", x=np.zeros((9, 8, 8)))
    return place / "set.npz"


def cut(place: Path) -> Path:
    path = array(np.random.default_rng(0).integers(0, 256, (40, 8, 8), np.uint8))(place)
    path.write_bytes(path.read_bytes()[:2000])
    return path


def folders(counts: dict[str, int]) -> Callable[[Path], Path]:
    return lambda place: write_folder(place / "set", counts, width=8, height=8)


def different_sizes(place: Path) -> Path:
    picture(1, 9, 8).save(good(place / "set") / "b" / "wide.png")
    return place / "set"


def class_of_few(place: Path) -> Path:
    folder = write_folder(place / "set", {"a": 9, "b": 3})
    (folder / "b" / "0000.png").write_bytes(b"")
    return folder


def unknown_kind(place: Path) -> Path:
    (place / "set.rar").write_bytes(b"Rar!")
    return place / "set.rar"


SET_FAULTS: dict[str, tuple[Callable[[Path], Path], str]] = {
    "zip: leads out": (zipped(lambda z: z.writestr("../x.png", "x")), r"\.\./x.png \(its name leads out"),
    "zip: absolute": (zipped(lambda z: z.writestr("/x.png", "x")), r"/x.png \(its name leads out"),
    "zip: link": (zipped(link), r"a/link.png \(it is a link"),
    "zip: bomb": (
        zipped(lambda z: z.writestr("a/bomb.png", bytes(20_000_000), zipfile.ZIP_DEFLATED)),
        r"a/bomb.png \(it unpacks to 20,000,000 bytes",
    ),
    "zip: encrypted": (encrypted, r"\(it is encrypted"),
    "zip: backslash": (zipped(lambda z: z.writestr("a\\x.png", "x")), "its name has a backslash"),
    "zip: a name twice": (zipped(lambda z: z.writestr("a/./0001.png", "x")), "two members of one name"),
    "zip: damaged": (put("../set.zip", b"PK\x03\x04 and no more"), "cannot be read as a .zip file"),
    "npz: damaged": (cut, "cannot be read"),
    "npz: objects": (array(np.array([{}, {}], object)), "holds Python objects, which are not unpickled"),
    "npz: names": (other_names, "no array train_images or x_train, but x"),
    "npz: a name twice": (two_of_a_name, "two arrays of one name"),
    "npz: encrypted": (encrypted_array, "cannot be read: .*is encrypted"),
    "npz: checksum": (checksum, "train_images cannot be read: Bad CRC-32"),
    "npy: more than there is": (shaped(f"({10**12}, 8, 8)"), "ends before the last of its"),
    "npy: less than nothing": (shaped("(-5, 8, 8)"), r"a shape of \(-5, 8, 8\)"),
    "npy: nothing": (shaped("(0, 8, 8)"), "has no images to train on"),
    "npy: no header": (header("(((((((("), "cannot be read"),
    "npy: version": (header("{}", b"\x09\0"), r"the unknown version \(9, 0\)"),
    "npy: a pipe": (waiting, "is not a regular file"),
    "npz: NaN": (array(np.full((9, 8, 8), np.nan)), r"must lie in \[0, 1\], and lie in \[nan"),
    "npz: beyond 1": (array(np.full((9, 8, 8), 1.5)), r"lie in \[1.5, 1.5\]"),
    "npz: type": (array(np.zeros((9, 8, 8), np.int32)), "must hold uint8, uint16, bool, or floats"),
    "npz: int64": (array(np.zeros((9, 8, 8), int)), r"got int64; .*save array.astype\(np.uint8\) instead"),
    "npz: channels first": (array(np.zeros((9, 3, 8, 8), np.uint8)), r"save array.transpose\(0, 2, 3, 1\)"),
    "npz: Fortran": (array(np.asfortranarray(np.zeros((9, 8, 8), np.uint8))), "save np.ascontiguousarray of it"),
    "npz: one-hot": (array(np.zeros((9, 8, 8), np.uint8), train_labels=np.eye(9)), r"save array.argmax\(axis=1\)"),
    "npz: words": (array(np.zeros((9, 8, 8), np.uint8), train_labels=["a"] * 9), "got <U1; number the classes"),
    "npz: shape": (array(np.zeros((9, 64), np.uint8)), r"must have shape \(N, H, W\)"),
    "npz: labels": (array(np.zeros((9, 8, 8), np.uint8), train_labels=np.zeros(8, int)), "one label for each image"),
    "no pictures": (folders({"a": 0}), "has no pictures"),
    "a class with one": (folders({"a": 9, "b": 1}), r"fewer than 3 pictures.* b \(1\)"),
    "a class with few": (class_of_few, r"b \(2\); add some; and 1 pictures cannot be read: b/0000.png \(it is empty"),
    "names alike": (folders({"Cats": 9, "cats": 9}), "differ only in upper and lower case: Cats, cats"),
    "accents alike": (folders({"é": 9, "e\u0301": 9}), "differ only in how their accents are stored: "),
    "no training": (folders({"val/a": 9, "test/a": 9}), "there are test, val, but no pictures in a folder train"),
    "beside the classes": (folders({"a": 9, "": 1, "b": 9}), "in no class, though others are: 0000.png"),
    "beside the parts": (folders({"train/a": 9, "more": 9}), "beside the folder train there are more"),
    "a part twice": (folders({"train/a": 9, "val/a": 2, "valid/a": 2}), "the same part of the set: val, valid"),
    "unknown class": (folders({"train/a": 9, "test/b": 3}), "no training picture: b"),
    "too few": (folders({"": 2}), "too few for training, validation and test"),
    "different sizes": (different_sizes, r"differ in size.*b/wide.png 9×8.*`image_size`"),
    "unknown kind": (unknown_kind, "neither a folder nor a file of .zip, .npz, .npy"),
}


@pytest.mark.parametrize("name", SET_FAULTS)
def test_a_set_that_means_nothing_clear_is_refused(name: str, tmp_path: Path) -> None:
    make, words = SET_FAULTS[name]
    if name == "zip: damaged":
        make(tmp_path)
        path = tmp_path / "set.zip"
    else:
        path = make(tmp_path)
    with pytest.raises(PIEError, match=words) as raised:
        load(path, tmp_path / "cache")
    assert "\n" not in str(raised.value)
    left = [one for one in (tmp_path / "cache").rglob("*") if one.is_file() and not one.name.endswith(".lock")]
    assert left == []


def test_the_command_says_so_in_one_line(tmp_path: Path) -> None:
    path = truncated(tmp_path)
    done = commands.run("train", "--dataset", path, *commands.SMALL.split(), "--data-dir", "cache", cwd=tmp_path)
    assert done.code == 1
    assert done.stderr.count("\n") == 1
    assert "a/0003.png" in done.stderr
    assert "leave them out with --skip-unreadable" in done.stderr
    assert not (tmp_path / "results").exists()
    few = commands.run("train", "--dataset", path, "--skip-unreadable", *commands.SMALL.split(), cwd=tmp_path)
    assert "--batch-size 128 exceeds the 35 training images" in few.stderr


def test_a_cache_that_cannot_be_written_is_chosen_by_its_option(tmp_path: Path) -> None:
    path, cache = good(tmp_path / "set"), tmp_path / "cache"
    cache.mkdir()
    (cache / "prepared").touch()
    done = commands.run("train", "--dataset", path, *commands.SMALL.split(), "--data-dir", "cache", cwd=tmp_path)
    assert (done.code, done.stderr.count("\n")) == (1, 1)
    assert "choose another folder with --data-dir" in done.stderr


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_without_permission_is_named(tmp_path: Path) -> None:
    folder = good(tmp_path / "set")
    (folder / "b").chmod(0)
    try:
        with pytest.raises(PIEError, match=r"cannot read .*/b: Permission denied"):
            load(folder, tmp_path / "cache")
    finally:
        (folder / "b").chmod(0o755)
