"""What is compressed, as it is read from files, arrays and named sets; and what is written when that is undone."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from pie_cli.codec.coder import Damaged
from pie_cli.codec.container import LARGEST_VALUES, Kind
from pie_cli.codec.names import stored_names
from pie_cli.data.base import DATASETS, shape_text
from pie_cli.data.load import ImageSource
from pie_cli.data.own.arrays import Arrays
from pie_cli.data.own.listing import PARTS
from pie_cli.data.own.pictures import Look, Unreadable, noticed
from pie_cli.data.own.places import LARGEST_FILE, Folder, PictureFiles, Zip, picture_of
from pie_cli.errors import PIEError, UsageError, advising
from pie_cli.io.files import check_vacant, read_bytes, write_folder
from pie_cli.io.text import few

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
Shape = tuple[int, int, int]
Report = Callable[[str], None]

_ARRAYS = (".npy", ".npz")


@dataclass(frozen=True)
class Pictures:
    """Images (N, C, H, W) of uint8, what they came in as, and their names if they are pictures."""

    pixels: Pixels
    kind: Kind
    names: tuple[str, ...] = ()


def read_images(given: Sequence[str], shape: Shape, named: Callable[[str], ImageSource], report: Report) -> Pictures:
    """Return the images that are given: pictures, folders and .zip files of them; or one array; or a named set's part.

    Arguments:
        given: paths, or "mnist:test" for a part of a named set.
        shape: (C, H, W) of the model's images.
        named: returns where a named set is.
        report: gets lines for the user.

    Raises UsageError for what is none of these, PIEError if something cannot be read or has another shape.
    """
    arrays = [one for one in given if one.partition(":")[0] in DATASETS or Path(one).suffix.lower() in _ARRAYS]
    if not arrays:
        return _read_pictures([Path(one) for one in given], shape, report)
    if len(given) > 1:
        raise UsageError(f"{arrays[0]} must be compressed alone: a file holds one array, or pictures")
    path, (name, _, part) = Path(arrays[0]), arrays[0].partition(":")
    return _read_part(named(name), part, shape, report) if name in DATASETS else _read_array(path, shape, report)


def _read_part(source: ImageSource, part: str, shape: Shape, report: Report) -> Pictures:
    if part not in PARTS:
        raise UsageError(f"{source.name} needs a part: {', '.join(f'{source.name}:{one}' for one in PARTS)}")
    images = getattr(source.load(report), part).images.numpy()
    _check_shape(f"{source.name}:{part}", images.shape[1:], shape)
    return Pictures(images, "grey array" if shape[0] == 1 else "array")


def _read_array(path: Path, shape: Shape, report: Report) -> Pictures:
    """Return the images of an array, or of the arrays of an .npz file that are images, one after the other."""
    if not path.is_file():
        raise UsageError(f"{path} is no file")
    found = Arrays(path, lambda line: None).arrays.values()
    if path.suffix.lower() == ".npz":
        report(f"of {path}, the images alone are kept, as one array: {', '.join(one.name for one in found)}")
    if other := [f"{one.name} of {one.dtype}" for one in found if one.dtype != np.uint8]:
        raise PIEError(f"{path} has {few(other)}; only arrays of uint8 come back as they are, so convert it first")
    for one in found:
        _check_shape(str(path), (1 if len(one.shape) == 3 else one.shape[3], *one.shape[1:3]), shape)
    if len({len(one.shape) for one in found}) > 1:
        raise PIEError(f"{path} has images with and without a dimension for the channels; give it one form")
    _check_count(str(path), sum(one.shape[0] for one in found), shape)
    pixels = np.concatenate([one.read() for one in found])
    if pixels.ndim == 3:
        return Pictures(pixels[:, None], "grey array")
    return Pictures(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2)), "array")


def _check_count(name: str, count: int, shape: Shape) -> None:
    """Raise PIEError unless a file can hold so many images."""
    if count < 1:
        raise PIEError(f"{name} has no images")
    if count > (most := LARGEST_VALUES // prod(shape)):
        raise PIEError(f"{name} has {count:,} images, and a compressed file holds at most {most:,}; make several")


def _check_shape(name: str, found: Sequence[int], shape: Shape) -> None:
    if tuple(found) != shape:
        raise PIEError(
            f"{name} is {shape_text(*found)}, and the model takes {shape_text(*shape)}; "
            "scale it first, or name a run of its shape with `run`"
        )


def _read_pictures(paths: Sequence[Path], shape: Shape, report: Report) -> Pictures:
    """Return pictures in files, folders and archives, with their names."""
    names, pixels, bad, looks = list[str](), list[Pixels](), list[str](), list[Look]()
    found = [one for path in paths for one in _pictures_at(path, len(paths) > 1, report)]
    _check_count("what is given", len(found), shape)
    for name, load in found:
        try:
            image, look = load()
        except Unreadable as error:
            bad.append(f"{name} ({error})")
            continue
        pixels.append(_in_shape(name, image, shape))
        names.append(name)
        looks.append(look)
    if bad:
        raise PIEError(f"these pictures cannot be read: {few(bad)}; repair or remove them")
    if deep := [name for name, look in zip(names, looks, strict=True) if look.deep]:
        raise PIEError(f"these pictures have more than 8 bits: {few(deep)}; convert them to 8 bits first")
    for note in noticed(sum(look.transparent for look in looks), sum(look.animated for look in looks)):
        report(f"{note}; that is not undone")
    try:
        return Pictures(np.stack(pixels), "pictures", stored_names(names))
    except Damaged as error:
        raise PIEError(str(error).replace("its ", "the pictures' ") + "; rename them") from error


Load = Callable[[], "tuple[Image, Look]"]


def _pictures_at(path: Path, several: bool, report: Report) -> list[tuple[str, Load]]:
    """Return the names of the pictures at a path, and what loads each."""
    if not path.exists():
        raise UsageError(f"{path} is neither one of {', '.join(DATASETS)} with a part, nor a file or folder")
    if path.is_dir() or path.suffix.lower() == ".zip":
        source: PictureFiles = Folder(path, report) if path.is_dir() else Zip(path, report)
        above = f"{path.resolve().name.removesuffix('.zip')}/" if several else ""
        return [(above + "/".join(name), _member(source, index)) for index, name in enumerate(source.files)]
    return [(path.name, lambda: picture_of(lambda: read_bytes(path, LARGEST_FILE)))]


def _member(source: PictureFiles, index: int) -> Load:
    return lambda: source.picture(index)


def _in_shape(name: str, image: Image, shape: Shape) -> Pixels:
    """Return a picture as (C, H, W). Raises PIEError if it is of another size, or has a colour that would be lost."""
    array = np.asarray(image.convert("RGB")).transpose(2, 0, 1)
    coloured = bool((array != array[:1]).any())
    _check_shape(name, (1 if shape[0] == 1 and not coloured else 3, *array.shape[1:]), shape)
    return array[: shape[0]].copy()  # a part would keep the whole in memory


def write_images(pictures: Pictures, folder: Path, stem: str) -> Path:
    """Write pictures, or one array called `stem`, into a folder that is not there or empty; return the folder or file.

    It appears when everything is written. Raises UsageError if the folder holds something, FolderError if it cannot be
    written.
    """
    check_vacant(folder, "output")
    with advising("output"):
        write_folder(folder, lambda temporary: _write_all(pictures, temporary, stem))
    return folder if pictures.kind == "pictures" else folder / f"{stem}.npy"


def _write_all(pictures: Pictures, folder: Path, stem: str) -> None:
    """Write everything into a folder."""
    from PIL import Image

    if pictures.kind != "pictures":
        array = pictures.pixels[:, 0] if pictures.kind == "grey array" else pictures.pixels
        content = io.BytesIO()
        np.save(content, array.transpose(0, 2, 3, 1) if pictures.kind == "array" else array)
        (folder / f"{stem}.npy").write_bytes(content.getvalue())
        return
    for name, pixels in zip(pictures.names, pictures.pixels, strict=True):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = io.BytesIO()  # Pillow fails in its own ways on a full disk
        Image.fromarray(pixels[0] if len(pixels) == 1 else pixels.transpose(1, 2, 0)).save(content, "PNG")
        path.write_bytes(content.getvalue())
