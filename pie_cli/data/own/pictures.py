"""What is made of one picture, so that all of a set are alike.

It is turned as its EXIF data say. Of an animated one, the first frame is taken. Transparent parts are laid on white.
Palettes, CMYK and other ways to write colours become RGB. Grey of 16 bits is divided by 257, so that white stays white.
With a size, the picture is scaled (Lanczos) until its shorter side has it, and what is beyond the middle is cut off; or
until its longer side has it, and white margins are added.
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
_WIDE = ("I", "I;16", "I;16B", "I;16L", "I;16N")  # Pillow's names of grey with more than 8 bits


class Unreadable(Exception):
    """A picture cannot be read; the message is the reason."""


@dataclass(frozen=True)
class Look:
    """What was noticed of a picture: whether it had transparent parts, several frames, and more than 8 bits."""

    transparent: bool = False
    animated: bool = False
    deep: bool = False


def read_picture(content: bytes) -> tuple[Image.Image, Look]:
    """Return the picture in a file's content, in mode L or RGB, and what was noticed. Raises `Unreadable`."""
    if not content:
        raise Unreadable("it is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of decompression bombs, whose size is checked here, and of odd metadata
            with Image.open(io.BytesIO(content)) as opened:
                width, height = opened.size
                if width * height > LARGEST_PICTURE:
                    raise Image.DecompressionBombError
                # A photograph's second picture (MPO) is a preview or another view of it, no next frame.
                animated = getattr(opened, "is_animated", False) and opened.format != "MPO"
                deep = _is_deep(opened)
                image, look = plain(ImageOps.exif_transpose(opened), animated)
                return image, replace(look, deep=look.deep or deep)
    except Unreadable:
        raise
    except Image.DecompressionBombError as error:
        raise Unreadable(f"it has more than {LARGEST_PICTURE:,} pixels") from error
    except Exception as error:  # Pillow's readers raise whatever damaged bytes lead to
        reason = "it is no picture" if isinstance(error, Image.UnidentifiedImageError) else str(error)
        raise Unreadable(reason or type(error).__name__) from error


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
    """Return a picture of mode L or RGB as (H, W, 3), or (H, W, 1) if it is to be grey, of the size that is asked."""
    if settings.image_size is not None:
        square, how = (settings.image_size, settings.image_size), Image.Resampling.LANCZOS
        image = ImageOps.pad(image, square, how, color="white") if settings.pad else ImageOps.fit(image, square, how)
    array = np.asarray(image.convert("L" if settings.grayscale else "RGB"))
    return array.reshape(*array.shape[:2], -1)
