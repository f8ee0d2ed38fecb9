"""Where pictures lie: in a folder, or in a .zip, which is read without unpacking it."""

from __future__ import annotations

import hashlib
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path

from PIL import Image

from pie_cli.data.own.listing import Listing, Name, list_pictures
from pie_cli.data.own.pictures import Look, Unreadable, read_picture
from pie_cli.errors import PIEError
from pie_cli.io.files import read_bytes
from pie_cli.io.text import few

SUFFIXES = frozenset([".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm"])
LARGEST_FILE = 2**28  # bytes of one picture
LARGEST_RATIO = 1_000  # of a member's size to that in the archive; pictures are packed already
NOT_PICTURES = frozenset(("thumbs.db", "desktop.ini", "__macosx"))


def _hidden(name: str) -> bool:
    """Return whether a file or folder is one that operating systems leave behind."""
    return name.startswith(".") or name.lower() in NOT_PICTURES


class PictureFiles:
    """Pictures that are files, in a fixed order. What differs is where their bytes are.

    Arguments:
        path: of the folder or archive.
        found: the name of each file, with something that changes when its content does.
    """

    parallel = True  # whether several processes can read at once

    def __init__(self, path: Path, found: list[tuple[Name, str]], report: Callable[[str], None]) -> None:
        pictures = sorted(one for one in found if Path(one[0][-1]).suffix.lower() in SUFFIXES)
        if ignored := len(found) - len(pictures):
            report(f"{path}: {ignored:,} files are ignored, because their names are not those of pictures")
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
        try:
            content = self.read(self.files[index])
        except OSError as error:
            raise Unreadable(error.strerror or str(error)) from error
        except ValueError as error:
            raise Unreadable(str(error)) from error
        return read_picture(content)

    def read(self, name: Name) -> bytes:
        """Return a file's content. Raises OSError or ValueError if there is no reading it."""
        raise NotImplementedError


class Folder(PictureFiles):
    """Pictures in a folder, in any depth. Links are followed."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        try:
            found = list(_walk(path, (), set()))
        except OSError as error:
            raise PIEError(f"cannot read {error.filename or path}: {error.strerror or error}; fix that") from error
        super().__init__(path, found, report)

    def read(self, name: Name) -> bytes:
        return read_bytes(self.path.joinpath(*name), LARGEST_FILE)


def _walk(folder: Path, above: Name, seen: set[tuple[int, int]]) -> Iterator[tuple[Name, str]]:
    """Yield the name of each file below a folder, with its size and time; a loop of links ends."""
    status = folder.stat()
    if (status.st_dev, status.st_ino) in seen:
        return
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
        inside = sorted(entries, key=lambda entry: entry.name)
    for entry in inside:
        if _hidden(entry.name):
            continue
        if entry.is_dir():
            yield from _walk(Path(entry.path), (*above, entry.name), seen)
            continue
        try:
            status = entry.stat()
            mark = f"{status.st_size} {status.st_mtime_ns}"
        except OSError:  # a link that leads nowhere: whoever reads it will say so
            mark = "gone"
        yield (*above, entry.name), mark


class Zip(PictureFiles):
    """Pictures in a .zip file."""

    def __init__(self, path: Path, report: Callable[[str], None]) -> None:
        try:
            with zipfile.ZipFile(path) as archive:
                members = [one for one in archive.infolist() if not one.is_dir()]
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, UnicodeDecodeError) as error:
            raise PIEError(f"{path} cannot be read as a .zip file: {error}; get a good copy") from error
        if bad := [f"{one.filename} ({reason})" for one in members if (reason := _danger(one))]:
            raise PIEError(f"{path} was not opened: {few(bad)}; pack it again without them")
        found = [(tuple(one.filename.split("/")), f"{one.CRC} {one.file_size}") for one in members]
        found = [one for one in found if not any(map(_hidden, one[0]))]
        if len({name for name, _ in found}) < len(found):
            raise PIEError(f"{path} has two members of one name; pack it again")
        super().__init__(path, found, report)

    @cached_property
    def archive(self) -> zipfile.ZipFile:
        """The open archive; each process has its own."""
        return zipfile.ZipFile(self.path)

    def __getstate__(self) -> dict[str, object]:
        return {name: value for name, value in vars(self).items() if name != "archive"}

    def read(self, name: Name) -> bytes:
        try:
            return self.archive.read("/".join(name))
        except (zipfile.BadZipFile, KeyError, EOFError, zlib.error, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"damaged in the archive: {error}") from error


def _danger(member: zipfile.ZipInfo) -> str:
    """Return why a member must not be read; empty if it may be."""
    parts = re.split(r"[/\\]", member.filename)
    if ".." in parts or not parts[0] or re.match(r"[A-Za-z]:", member.filename) or "\\" in member.filename:
        return "its name leads out of the folder"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "it is a link"
    if member.flag_bits & 1:
        return "it is encrypted"
    if member.file_size > LARGEST_FILE or member.file_size > LARGEST_RATIO * max(member.compress_size, 2**10):
        return f"it unpacks to {member.file_size:,} bytes"
    return ""
