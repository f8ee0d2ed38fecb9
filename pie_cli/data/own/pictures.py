"""What is made of one picture, so that all of a set are alike.

It is turned as its EXIF data say. Of an animated one, the first frame is taken. Transparent parts are laid on white.
Palettes, CMYK and other ways to write colours become RGB. Grey of 16 bits is divided by 257, so that white stays white.
With a size, the picture is scaled (Lanczos) until its shorter side has it, and what is beyond the middle is cut off; or
until its longer side has it, and white margins are added. Of its metadata, only the orientation is used.
"""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from pie_cli.data.base import Preprocessing

LARGEST_PICTURE = 2**26  # pixels; far above what a model takes, far below what fills the memory
# What Pillow may open, whatever a file's name says (MPO is JPEG to it). It starts another program for some others.
_FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
_WIDE = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's names of grey with more than 8 bits


class Unreadable(Exception):
    """A picture cannot be read; the message is the reason."""


@dataclass(frozen=True)
class Look:
    """What was noticed of a picture: whether it had transparent parts, several frames, and more than 8 bits."""

    transparent: bool = False
    animated: bool = False
    deep: bool = False


def noticed(transparent: int, animated: int) -> list[str]:
    """Return what to tell users of pictures of which so many have transparent parts or several frames."""
    counts = {"have transparent parts, which are laid on white": transparent}
    counts["are animated; the first frame of each is taken"] = animated
    return [f"{count:,} pictures {what}" for what, count in counts.items() if count]


def read_picture(content: bytes) -> tuple[Image.Image, Look]:
    """Return the picture in a file's content, in mode L or RGB, and what was noticed. Raises `Unreadable`."""
    if not content:
        raise Unreadable("it is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of decompression bombs, whose size is checked here, and of odd metadata
            with Image.open(io.BytesIO(content), formats=_FORMATS) as opened:
                width, height = opened.size
                if width * height > LARGEST_PICTURE:
                    raise Image.DecompressionBombError
                # A photograph's second picture (MPO) is a preview or another view of it, no next frame.
                animated = getattr(opened, "is_animated", False) and opened.format != "MPO"
                deep = _is_deep(opened)
                opened.load()
                image, look = plain(_upright(opened), animated)
                return image, replace(look, deep=look.deep or deep)
    except (Unreadable, MemoryError):  # the picture is not to blame for the latter
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(f"it has more than {LARGEST_PICTURE:,} pixels") from error
    except Exception as error:  # Pillow's readers raise whatever damaged bytes lead to
        reason = "it is no picture" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise Unreadable(reason or type(error).__name__) from error


def _upright(image: Image.Image) -> Image.Image:
    """Return a picture turned as its EXIF data say, or as it is if they are damaged."""
    try:
        return ImageOps.exif_transpose(image)
    except MemoryError:
        raise
    except Exception:  # Pillow's readers raise whatever damaged bytes lead to
        return image


def _is_deep(opened: Image.Image) -> bool:
    """Return whether a picture's file has more than 8 bits a colour, of which Pillow reads the upper ones."""
    for codec, _, _, how in getattr(opened, "tile", ()):
        layout, *more = how if isinstance(how, tuple) else (how,)
        if str(layout).endswith((";16B", ";16L", ";16N")) or (codec == "ppm" and more[0] > 255):
            return True
    return False


def plain(image: Image.Image, animated: bool = False) -> tuple[Image.Image, Look]:
    """Return a picture in mode L or RGB, and whether anything of it was transparent. Raises `Unreadable`."""
    if image.mode in _WIDE:
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise Unreadable("its values are not of 16 bits")
        return Image.fromarray(np.round(values / 257).astype(np.uint8)), Look(False, animated, True)
    if image.mode == "F":
        raise Unreadable("its values are floats")
    if "transparency" in image.info or image.mode in ("LA", "La", "PA", "RGBA", "RGBa"):
        layers = image.convert("RGBA")
        if transparent := layers.getchannel("A").getextrema()[0] != 255:
            layers = Image.alpha_composite(Image.new("RGBA", layers.size, "white"), layers)
        return layers.convert("RGB"), Look(transparent, animated)
    return image.convert("L" if image.mode in ("1", "L") else "RGB"), Look(False, animated)


def fit(image: Image.Image, settings: Preprocessing) -> NDArray[np.uint8]:
    """Return a picture of mode L or RGB as (3, H, W), or (1, H, W) if it is to be grey, of the size that is asked."""
    if settings.image_size is not None:
        side = settings.image_size
        image = _padded(image, side) if settings.pad else ImageOps.fit(image, (side, side), Image.Resampling.LANCZOS)
    array = np.asarray(image.convert("L" if settings.grayscale else "RGB"))
    return array.reshape(*array.shape[:2], -1).transpose(2, 0, 1)


def _padded(image: Image.Image, side: int) -> Image.Image:
    """Return a picture scaled into a square, with white margins: as `ImageOps.pad`, which loses very narrow ones."""
    width, height = image.size
    inner = side, max(1, round(height / width * side))
    if height > width:
        inner = max(1, round(width / height * side)), side
    whole = Image.new(image.mode, (side, side), "white")
    corner = round((side - inner[0]) / 2), round((side - inner[1]) / 2)
    whole.paste(image.resize(inner, Image.Resampling.LANCZOS), corner)
    return whole
