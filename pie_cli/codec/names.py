"""Names of pictures in a compressed file: paths inside the folder that they are written to, and nothing else."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import PurePosixPath

from pie_cli.codec.coder import Damaged
from pie_cli.io.text import few, one_line

SUFFIX = ".png"
LONGEST_PART = 255  # bytes of a file's or folder's name, in most file systems
_DEVICES = r"con|prn|aux|nul|conin\$|conout\$|(com|lpt)[\d¹²³]"
_RESERVED = re.compile(rf'[<>:"|?*\\]|[. ]$|^({_DEVICES}) *(\.|$)', re.IGNORECASE)  # on Windows


def stored_names(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names that pictures will have when they are decompressed: a.jpg becomes a.png.

    Where that would give two the same name, they keep their own before it: a.jpg.png. Raises `Damaged` if a name cannot
    be that of a file everywhere, or two are alike.
    """
    plain = [str(PurePosixPath(name).with_suffix(SUFFIX)) for name in names]
    times = Counter(map(_key, plain))
    kept = [name if name.endswith(SUFFIX) else name + SUFFIX for name in names]
    stored = tuple(own if times[_key(own)] == 1 else name for own, name in zip(plain, kept, strict=True))
    check_names(stored)
    return stored


def check_names(names: Sequence[str]) -> None:
    """Raise `Damaged` if a name leads out of its folder, cannot be a file's everywhere, or stands for two pictures."""
    if bad := [one_line(name) for name in names if _is_dangerous(name)]:
        raise Damaged(f"its names lead out of a folder, or are not names of files everywhere: {few(bad)}")
    times = Counter(map(_key, names))
    if twice := [one_line(name) for name in names if times[_key(name)] > 1]:
        raise Damaged(f"two of its pictures have one name: {few(twice)}")
    folders = {_key(str(parent)) for name in names for parent in PurePosixPath(name).parents}
    if both := [one_line(name) for name in names if _key(name) in folders]:
        raise Damaged(f"these are a picture and a folder at once: {few(both)}")


def _key(name: str) -> str:
    """Return what is the same for names that some file system takes for one: in whatever case and form of Unicode."""
    return unicodedata.normalize("NFC", name.casefold())


def _is_dangerous(name: str) -> bool:
    parts = name.split("/")
    strange = any(part in ("", ".", "..") or _RESERVED.search(part) for part in parts)
    strange = strange or any(len(part.encode(errors="replace")) > LONGEST_PART for part in parts)
    return strange or not name.isprintable() or not name.endswith(SUFFIX) or len(name) > 1_000
