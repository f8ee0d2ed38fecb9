"""Compressed files on the command line: pictures and arrays there and back, and every kind of damage on the way."""

from __future__ import annotations

import dataclasses
import shutil
import struct
import zlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from pie_cli import PIEError, compress, decompress, load_showcase
from pie_cli.codec.container import Container, Header, Layer
from pie_cli.codec.levels import pie_of
from pie_cli.codec.tables import Tables, tables_of
from pie_cli.data.base import Dataset
from pie_cli.models.base import Autoencoder
from pie_cli.runs.find import SHOWCASE
from pie_cli.runs.folder import CODING
from tests import commands
from tests.conftest import Call, call
from tests.damage import flip
from tests.test_failing_files import assert_one_line, full_at

pytest.importorskip("constriction", reason="the extra codec is not installed")


@pytest.fixture
def pictures(digits: Dataset, tmp_path: Path) -> Path:
    """A folder of pictures of digits, with folders and other names."""
    for number, name in enumerate(["a.png", "b/ねこ.png", "b/c d.bmp", "b/e.png"]):
        path = tmp_path / "pictures" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(digits.test.images[number, 0].numpy()).save(path)
    return tmp_path / "pictures"


def test_pictures_there_and_back(run: Call, pictures: Path) -> None:
    code, printed, errors = run("compress pictures -o all.pie")
    assert code == 0, errors
    assert "wrote all.pie: 4 images" in printed
    code, printed, errors = run("decompress all.pie")
    assert code == 0, errors
    for path in pictures.rglob("*.*"):
        undone = Image.open(Path("all") / path.relative_to(pictures).with_suffix(".png"))
        assert np.array_equal(np.asarray(undone), np.asarray(Image.open(path)))
    assert len(list(Path("all").rglob("*.png"))) == 4
    code, printed, errors = run("decompress all.pie --keep 1 -o kept")
    assert code == 0, errors
    assert len(list(Path("kept").rglob("*.png"))) == 4


def test_what_info_says_is_so(run: Call, pictures: Path) -> None:
    assert run("compress pictures/a.png pictures/b/e.png -o two.pie --keep 2 --lossless")[0] == 0
    assert run("reduce two.pie --keep 1 -o one.pie")[0] == 0
    assert run("compress pictures/a.png pictures/b/e.png -o same.pie --keep 1")[0] == 0
    assert Path("one.pie").read_bytes() == Path("same.pie").read_bytes()
    code, printed, _ = run("info two.pie")
    assert code == 0
    assert "lossless: yes" in printed
    assert "showcase" in printed
    size = Path("two.pie").stat().st_size
    assert f"2 images, {size:,} bytes" in printed
    for name, layer in zip(("z", "level 1", "level 2", "exact"), header_of("two.pie").layers, strict=True):
        assert f"{name}: {layer.length:,} bytes, {layer.length / 2:,.2f} an image; MSE up to here" in printed
    Path("cut.pie").write_bytes(Path("two.pie").read_bytes()[:-1])
    code, printed, _ = run("info cut.pie")
    assert printed.count("cut off") == 1


def header_of(path: str) -> Header:
    return Container.parse(Path(path).read_bytes()).header


@pytest.mark.parametrize("channel", [False, True])
def test_the_array_that_came_in(channel: bool, run: Call, digits: Dataset) -> None:
    array = digits.test.images[:5, 0].numpy()
    np.save("digits.npy", array[..., None] if channel else array)
    assert run("compress digits.npy -o d.pie")[0] == 0
    assert run("decompress d.pie -o out")[0] == 0
    assert np.array_equal(np.load("out/d.npy"), np.load("digits.npy"))
    assert np.load("out/d.npy").shape == np.load("digits.npy").shape


def test_as_much_as_fits_into_a_number_of_bytes(run: Call, digits: Dataset) -> None:
    np.save("digits.npy", digits.test.images[:8, 0].numpy())
    kept = []
    for budget in (50, 90, 2_000):
        code, _, errors = run(f"compress digits.npy -o {budget}.pie --bytes-per-image {budget}")
        assert code == 0, errors
        header = header_of(f"{budget}.pie")
        assert header.size <= budget * header.count
        kept.append(header)
    assert [header.exact for header in kept] == [False, False, True]
    assert kept[0].layers[-1].mse > kept[1].layers[-1].mse
    code, _, errors = run("compress digits.npy -o none.pie --bytes-per-image 1")
    assert code == 2
    assert "--bytes-per-image 1 is too little: these need" in errors
    assert not Path("none.pie").exists()


def test_of_an_npz_the_images_come_back_and_a_line_says_so(run: Call, digits: Dataset) -> None:
    images = digits.test.images[:5, 0].numpy()
    np.savez("all.npz", train_images=images[:3], train_labels=np.arange(3), test_images=images[3:], test_labels=[0, 1])
    code, printed, _ = run("compress all.npz -o all.pie")
    assert code == 0
    assert "of all.npz, the images alone are kept, as one array: train_images, test_images" in printed
    assert run("decompress all.pie -o out")[0] == 0
    assert np.array_equal(np.load("out/all.npy"), images)


def test_a_folder_that_cannot_be_replaced_is_named_before_anything_is_decoded(
    run: Call, workplace: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("empty").mkdir()
    Path("link").symlink_to("empty")
    for place, folder in ((".", "link"), ("empty", ".")):
        monkeypatch.chdir(place)
        code, _, errors = run(f"decompress {workplace}/good.pie -o {folder}")
        assert (code, errors.count("\n")) == (2, 1)
        assert "choose a new folder inside it with --output" in errors


def test_tables_that_cannot_be_read_are_named(run: Call, workplace: Path) -> None:
    shutil.copytree(SHOWCASE, "run")
    for damage, what in ((flip, "is damaged"), (Path.unlink, "is missing")):
        damage(Path("run") / CODING)
        for command in ("info", "decompress -o x"):
            code, _, errors = run(f"{command} {workplace}/good.pie --run run")
            assert (code, errors.count("\n")) == (1, 1)
            assert f"run/{CODING} {what}" in errors
            assert "put a good copy in its place, as files made with it need" in errors


def test_a_part_of_a_named_set(run: Call, digits: Dataset) -> None:
    assert run("compress digits:test -o part.pie --keep 0")[0] == 0
    assert run("decompress part.pie -o out")[0] == 0
    assert np.load("out/part.npy").shape == (len(digits.test), 28, 28)


def test_the_best_that_is_left_of_a_cut_file(run: Call, pictures: Path) -> None:
    assert run("compress pictures -o all.pie --keep 1 --lossless")[0] == 0
    content, header = Path("all.pie").read_bytes(), header_of("all.pie")
    for at, called in ((1, "z and 1 level"), (header.layers[2].length + 1, "z alone")):
        Path("cut.pie").write_bytes(content[:-at])
        code, printed, errors = run(f"decompress cut.pie -o cut{at}")
        assert code == 0, errors
        assert f"cut.pie is cut: these are decoded from {called}, MSE 0." in printed
        assert len(list(Path(f"cut{at}").rglob("*.png"))) == 4
    Path("cut.pie").write_bytes(content[: len(header.pack()) + 1])
    code, _, errors = run("decompress cut.pie -o nothing")
    assert (code, errors.count("\n")) == (1, 1)
    assert "cut within its first layer" in errors
    assert not Path("nothing").exists()


MISTAKES = [
    ("compress", 2, "Missing argument"),
    ("compress pictures", 2, "Missing option '--output'"),
    ("compress nothing -o x.pie", 2, "nothing is neither one of"),
    ("compress mnist:all -o x.pie", 2, "mnist needs a part: mnist:train, mnist:validation, mnist:test"),
    ("compress digits:test pictures -o x.pie", 2, "digits:test must be compressed alone"),
    ("compress pictures -o all/x.pie", 2, "all is no folder"),
    ("compress pictures -o pictures/a.png", 2, "pictures/a.png exists"),
    ("compress pictures -o x.pie --keep 9", 2, "--keep 9: the model has 4 levels beside z"),
    ("compress pictures -o x.pie --keep -1", 2, "'--keep'"),
    ("compress pictures -o x.pie --keep 1 --bytes-per-image 9", 2, "leave out --keep and --lossless"),
    ("compress pictures -o x.pie --run nowhere", 1, "nowhere is not a run folder"),
    ("compress colour.png -o x.pie", 1, "colour.png is 28×28 in colour, and the model takes 28×28 in grey"),
    ("compress large.png -o x.pie", 1, "large.png is 30×28 in grey, and the model takes 28×28 in grey; scale it first"),
    ("compress deep.png -o x.pie", 1, "these pictures have more than 8 bits: deep.png"),
    ("compress text.png -o x.pie", 1, "these pictures cannot be read: text.png (it is no picture)"),
    ("compress deep.ppm -o x.pie", 1, "these pictures have more than 8 bits: deep.ppm"),
    ("compress deep_colour.png -o x.pie", 1, "these pictures have more than 8 bits: deep_colour.png"),
    ("compress lying.npy -o x.pie", 1, "ends before the last of its 4,611,686,018,427,387,904 rows; get a good copy"),
    ("compress none.npy -o x.pie", 1, "none.npy has no images"),
    ("compress floats.npy -o x.pie", 1, "images of float64; only arrays of uint8 come back as they are"),
    ("compress objects.npy -o x.pie", 1, "Python objects, which are not unpickled"),
    ("compress pictures/a.png pictures/a.png -o x.pie", 1, "two of the pictures' pictures have one name: a.png"),
    ("decompress nothing.pie", 1, "cannot read nothing.pie"),
    ("decompress pictures/a.png -o x", 1, "it is no .pie file"),
    ("decompress good.pie -o pictures", 2, "pictures exists and is not an empty folder"),
    ("decompress good.pie -o x --keep 3", 2, "--keep 3: good.pie has 1 levels beside z"),
    ("decompress other.pie -o x", 1, "is neither the program's own nor in results; name its run with --run"),
    ("decompress newer.pie -o x", 1, "it has version 2 of the format, and this program reads 1"),
    ("decompress climbing.pie -o x", 1, "its names lead out of a folder"),
    ("decompress flipped.pie -o x", 1, "the layer 'exact' does not match its checksum; get a good copy, or take what"),
    ("info text.png", 1, "it is no .pie file"),
    ("reduce good.pie -o x.pie --keep 2", 2, "--keep 2: good.pie has 1 levels beside z"),
    ("reduce good.pie -o good.pie --keep 0", 2, "good.pie exists"),
]


@pytest.fixture(scope="module")
def workplace(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with good and bad files."""
    folder = tmp_path_factory.mktemp("workplace")
    (folder / "pictures").mkdir()
    image = Image.fromarray(digits.test.images[0, 0].numpy())
    image.save(folder / "pictures" / "a.png")
    Image.effect_noise((28, 28), 50).convert("RGB").save(folder / "grey.png")
    Image.merge("RGB", [image, image.rotate(90), image]).save(folder / "colour.png")
    image.resize((30, 28)).save(folder / "large.png")
    Image.fromarray(np.full((28, 28), 1000, np.uint16)).save(folder / "deep.png")
    (folder / "text.png").write_text("no picture")
    (folder / "deep.ppm").write_bytes(b"P6 28 28 65535\n" + bytes(2 * 3 * 28 * 28))
    size, rows = struct.pack(">2I5B", 28, 28, 16, 2, 0, 0, 0), zlib.compress(bytes((1 + 2 * 3 * 28) * 28))
    parts = [b"IHDR" + size, b"IDAT" + rows, b"IEND"]
    chunks = [struct.pack(">I", len(one) - 4) + one + struct.pack(">I", zlib.crc32(one)) for one in parts]
    (folder / "deep_colour.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    np.save(folder / "floats.npy", np.zeros((2, 28, 28)))
    np.save(folder / "none.npy", np.zeros((0, 28, 28), np.uint8))
    with (folder / "lying.npy").open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"shape": (2**62, 28, 28), "fortran_order": False, "descr": "|u1"})
    np.save(folder / "objects.npy", np.array([None, {}]), allow_pickle=True)
    model = load_showcase()
    good = compress(model, digits.test.images[:1], 1, names=["a.png"], kind="pictures")
    container = Container.parse(good)
    header, layers = container.header, [container.layer(number) for number in range(3)]
    (folder / "good.pie").write_bytes(good)
    (folder / "flipped.pie").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    (folder / "newer.pie").write_bytes(good[:8] + b"\2" + good[9:])
    for name, change in {"other": {"model": "0" * 64}, "climbing": {"names": ("../../a.png",)}}.items():
        (folder / f"{name}.pie").write_bytes(Container.pack(dataclasses.replace(header, **change), layers))  # type: ignore[arg-type]
    return folder


@pytest.mark.parametrize("given", ["pictures", "two.npy"])
def test_more_images_than_a_file_holds_are_one_line(
    given: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("two.npy", np.zeros((2, 28, 28), np.uint8))
    Path("pictures").mkdir()
    for name in "ab":
        Image.new("L", (28, 28)).save(f"pictures/{name}.png")
    monkeypatch.setattr("pie_cli.codec.pictures.LARGEST_VALUES", 28 * 28)
    code, _, errors = call(f"compress {given} -o x.pie", capsys, monkeypatch)
    assert (code, errors.count("\n")) == (1, 1)
    assert "and a compressed file holds at most 1; make several" in errors
    assert not Path("x.pie").exists()


def test_each_mistake_is_one_line_and_leaves_everything_as_it_was(
    workplace: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(workplace)
    before = {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()}
    for typed, expected, words in MISTAKES:
        code, _, errors = call(typed, capsys, monkeypatch)
        assert (code, errors.count("\n")) == (expected, 1), (typed, errors)
        assert words in errors, typed
        assert {path: path.read_bytes() for path in workplace.rglob("*") if path.is_file()} == before, typed
        assert {path.name for path in workplace.iterdir() if path.is_dir()} == {"pictures"}, typed


@pytest.mark.parametrize(
    ("typed", "size", "what"),
    [
        ("compress pictures -o x.pie", 100, "cannot write x.pie: "),
        ("decompress good.pie -o x", 10, "cannot write x: "),
        ("reduce good.pie --keep 0 -o x.pie", 10, "cannot write x.pie: "),
    ],
)
def test_a_disk_that_fills_up(typed: str, size: int, what: str, workplace: Path) -> None:
    before = sorted(workplace.rglob("*"))
    assert_one_line(commands.run(*typed.split(), cwd=workplace, before=partial(full_at, size)), what, "--output")
    assert sorted(workplace.rglob("*")) == before


# A thousand files


@pytest.fixture(scope="module")
def coded(digits: Dataset) -> tuple[Autoencoder, Tables, torch.Tensor, bytes]:
    model = load_showcase()
    images, tables = digits.test.images[:2], tables_of(pie_of(model))
    return model, tables, images, compress(model, images, 2, names=["a.png", "b.png"], kind="pictures", tables=tables)


def damaged(content: bytes) -> Iterator[bytes]:
    """Yield files with one thing wrong."""
    random = np.random.default_rng(0)
    container = Container.parse(content)
    header, start = container.header, len(container.header.pack())
    layers = [container.layer(number) for number in range(len(header.layers))]
    for at in random.integers(0, 8 * len(content), 500):
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        yield bytes(flipped)
    for at in random.integers(0, 8 * start, 150):  # the header has few of them
        flipped = bytearray(content)
        flipped[at // 8] ^= 1 << at % 8
        yield bytes(flipped)
    for at in random.integers(0, len(content), 150):
        yield content[:at]
    for count in random.integers(1, 100, 50):
        yield content + random.bytes(int(count))
    for at in random.integers(0, len(content) - 8, 100):
        yield content[:at] + random.bytes(8) + content[at + 8 :]
    for first in range(len(layers)):
        for second in range(first):
            exchanged = list(layers)
            exchanged[first], exchanged[second] = layers[second], layers[first]
            yield content[:start] + b"".join(exchanged)
    for _ in range(44):
        yield random.bytes(int(random.integers(0, 300)))


def test_nothing_comes_out_of_a_thousand_damaged_files(coded: tuple[Autoencoder, Tables, torch.Tensor, bytes]) -> None:
    model, tables, images, content = coded
    assert torch.equal(decompress(content, model, tables=tables), images)
    count = 0
    for one in damaged(content):
        with pytest.raises(PIEError) as error:
            decompress(one, model, tables=tables)
        assert "\n" not in str(error.value)
        count += 1
    assert count == 1000


def lies(content: bytes) -> Iterator[bytes]:
    """Yield files that are wrong though every checksum is right, as who means harm would make them."""
    random = np.random.default_rng(0)
    container = Container.parse(content)
    header = container.header
    layers = [container.layer(number) for number in range(len(header.layers))]

    def sealed(contents: list[bytes], **changes: object) -> bytes:
        described = tuple(Layer.of(one, 0.0) for one in contents)
        return Container.pack(dataclasses.replace(header, layers=described, **changes), contents)  # type: ignore[arg-type]

    yield sealed(layers, count=2**60, names=())
    yield sealed(layers, count=2**31 // 784, names=(), kind="tensor", model="1" * 64)
    yield sealed(layers, count=3, names=("a.png", "b.png", "c.png"))
    yield sealed(layers, count=2**31 // 784, names=(), kind="tensor")
    yield sealed(layers, names=(), kind="grey array", shape=(3, 28, 28))
    yield sealed(layers, count=2**26 + 1, names=("\0" * 2**26,), shape=(1, 1, 1))
    yield sealed(layers, names=("a.png",))
    yield sealed(layers, names=("a.png", "a.png"))
    yield sealed(layers, names=("x" * 10**6 + ".png", "b.png"))
    yield sealed(layers, shape=(1, 56, 56))
    yield sealed(layers, shape=(3, 28, 28))
    yield sealed(layers, fineness=1)
    yield sealed(layers, pixels="0" * 64)
    yield sealed([*layers[:-1], *layers * 50])
    yield sealed([*layers[:-1], b"abc"])
    for number in range(len(layers)):
        for _ in range(3):
            changed = list(layers)
            changed[number] = random.bytes(4 * int(random.integers(0, 60)))
            yield sealed(changed)
        yield sealed([*layers[:number], layers[number] + b"\1\2\3\4" * 4, *layers[number + 1 :]])


def test_nothing_comes_out_of_files_that_lie(coded: tuple[Autoencoder, Tables, torch.Tensor, bytes]) -> None:
    model, tables, _, content = coded
    for number, one in enumerate(lies(content)):
        with pytest.raises(PIEError) as error:
            decompress(one, model, tables=tables)
        assert "\n" not in str(error.value), number
