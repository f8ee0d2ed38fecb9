"""Where pictures lie: in a folder, or in a .zip, which is read without unpacking it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zipfile
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from PIL import Image

from pie_cli.data.own.listing import Listing, Name, list_pictures
from pie_cli.data.own.pictures import Look, Unreadable, read_picture
from pie_cli.errors import PIEError
from pie_cli.io.files import read_bytes, stamp
from pie_cli.io.text import few

_JPEG, _PNM = (".jpg", ".jpeg", ".jpe", ".jfif"), (".ppm", ".pgm", ".pbm", ".pnm")
SUFFIXES = frozenset([".png", ".apng", *_JPEG, ".bmp", ".gif", ".webp", ".tif", ".tiff", *_PNM])
LARGEST_FILE = 2**28  # bytes of one picture
LARGEST_RATIO = 1_000  # of a member's size to that in the archive; pictures are packed already
NOT_PICTURES = frozenset(("thumbs.db", "desktop.ini", "__macosx"))


def _hidden(name: str) -> bool:
    """Return whether a file or folder is one that operating systems leave behind."""
    return name.startswith(".") or name.lower() in NOT_PICTURES


def _named_like_one(name: Name) -> bool:
    """Return whether a file has the name of a picture."""
    return Path(name[-1]).suffix.lower() in SUFFIXES


def picture_of(read: Callable[[], bytes]) -> tuple[Image.Image, Look]:
    """Return the picture in what `read` returns, and what was noticed of it. Raises `Unreadable` with the reason."""
    try:
        content = read()
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error
    except ValueError as error:
        raise Unreadable(str(error)) from error
    return read_picture(content)


class PictureFiles:
    """Pictures that are files, in a fixed order. What differs is where their bytes are.

    Arguments:
        path: of the folder or archive.
        found: the name of each file, with something that changes when its content does.
    """

    parallel = True  # whether several processes can read at once

    def __init__(self, path: Path, found: list[tuple[Name, str]], report: Callable[[str], None]) -> None:
        pictures = sorted(one for one in found if _named_like_one(one[0]))
        if ignored := sorted("/".join(name) for name, _ in found if not _named_like_one(name)):
            shown = few(ignored)
            report(
                f"{path}: {len(ignored):,} files are ignored, because their names are not those of pictures: {shown}"
            )
        if not pictures:
            raise PIEError(f"{path} has no pictures ({', '.join(sorted(SUFFIXES))})")
        self.path, self.files = path, [name for name, _ in pictures]
        digest = hashlib.sha256()
        for name, mark in pictures:
            digest.update(f"{'/'.join(name)}\0{mark}\0".encode(errors="surrogateescape"))
        self.fingerprint = digest.hexdigest()

    @cached_property
    def listing(self) -> Listing:
        return list_pictures(self.files)

    def picture(self, index: int) -> tuple[Image.Image, Look]:
        """Return a picture, and what was noticed of it. Raises `Unreadable` with the reason."""
        return picture_of(lambda: self.read(self.files[index]))

    def read(self, name: Name) -> bytes:
        """Return a file's content. Raises OSError or ValueError if there is no reading it."""
        raise NotImplementedError


class Folder(PictureFiles):
    """Pictures in a folder, in any depth. Links are followed."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        try:
            found = list(_walk(path))
        except OSError as error:
            raise PIEError(f"cannot read {error.filename or path}: {error.strerror or error}; fix that") from error
        super().__init__(path, found, report)

    def read(self, name: Name) -> bytes:
        return read_bytes(self.path.joinpath(*name), LARGEST_FILE)


def _walk(root: Path) -> Iterator[tuple[Name, str]]:
    """Yield the name of each file below a folder, with its stamp.

    A link to a folder is followed, unless it lies inside that folder. Inside what a link leads to, further links are
    followed only to folders that were not met yet, so links to links do not multiply.
    """
    met = set[tuple[int, int]]()
    none: tuple[Name, frozenset[tuple[int, int]]] = (), frozenset()
    waiting = [(root, *none, 0)]
    while waiting:  # no recursion: folders can lie more deeply than calls can
        folder, name, around, links = waiting.pop()
        status = folder.stat()
        key = status.st_dev, status.st_ino
        if key in around or (links > 1 and folder.is_symlink() and key in met):
            continue
        met.add(key)
        with os.scandir(folder) as entries:
            inside = [entry for entry in entries if not _hidden(entry.name)]
        for entry in inside:
            inner = (*name, entry.name)
            if entry.is_dir():
                waiting.append((Path(entry.path), inner, around | {key}, links + entry.is_symlink()))
                continue
            try:
                mark = stamp(entry.stat())
            except OSError:  # a link that leads nowhere: whoever reads it will say so
                mark = "gone"
            yield inner, mark


class Zip(PictureFiles):
    """Pictures in a .zip file."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        try:
            mark = stamp(path.stat())
            with zipfile.ZipFile(path) as archive:
                members = [one for one in archive.infolist() if not one.is_dir()]
        except Exception as error:  # zipfile raises whatever damaged bytes lead to
            reason = (error.strerror if isinstance(error, OSError) else None) or error
            raise PIEError(f"{path} cannot be read as a .zip file: {reason}; get a good copy") from error
        if bad := [f"{one.filename} ({reason})" for one in members if (reason := _danger(one))]:
            raise PIEError(f"{path} was not opened: {few(bad)}; pack it again without them")
        # Some programs write ./a/1.png or a//1.png, which both mean a/1.png.
        named = [(tuple(part for part in one.filename.split("/") if part not in ("", ".")), one) for one in members]
        found = [(name, f"{mark} {one.CRC}") for name, one in named if name and not any(map(_hidden, name))]
        if len({name for name, _ in found}) < len(found):
            raise PIEError(f"{path} has two members of one name; pack it again")
        self.members = {name: one.filename for name, one in named}
        super().__init__(path, found, report)

    @cached_property
    def archive(self) -> zipfile.ZipFile:
        """The open archive; each process has its own."""
        return zipfile.ZipFile(self.path)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "archive"}

    def read(self, name: Name) -> bytes:
        try:
            return self.archive.read(self.members[name])
        except (OSError, MemoryError):
            raise
        except Exception as error:  # zipfile's decompressors raise whatever damaged bytes lead to
            raise ValueError(f"damaged in the archive: {error}") from error


def _danger(member: zipfile.ZipInfo) -> str:
    """Return why a member must not be read; empty if it may be."""
    parts = re.split(r"[/\\]", member.filename)
    if ".." in parts or not parts[0] or re.match(r"[A-Za-z]:", member.filename):
        return "its name leads out of the folder"
    if "\\" in member.filename:
        return "its name has a backslash"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "it is a link"
    if member.flag_bits & 1:
        return "it is encrypted"
    if member.file_size > LARGEST_FILE or member.file_size > LARGEST_RATIO * max(member.compress_size, 2**10):
        return f"it unpacks to {member.file_size:,} bytes"
    return ""
