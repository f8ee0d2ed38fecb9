"""Which pictures a set has, and what their names say: the part of the set that each is in, and its class."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from pie_cli.errors import PIEError
from pie_cli.io.text import characters, few

Part = Literal["train", "validation", "test"]
PARTS: tuple[Part, ...] = ("train", "validation", "test")
FOLDERS: dict[str, Part] = {
    "train": "train", "training": "train",
    "val": "validation", "valid": "validation", "validation": "validation",
    "test": "test", "testing": "test",
}  # fmt: skip

Name = tuple[str, ...]  # the folders on the way to a file, and its own name


@dataclass(frozen=True)
class Listing:
    """The pictures of a set in a fixed order, before any of them is opened.

    Arguments:
        names: what to call each of them in a message.
        parts: the part that each is in; None if nothing says so.
        labels: the class of each; None without classes.
        classes: the names of the classes 0, 1, …
    """

    names: Sequence[str]
    parts: Sequence[Part] | None
    labels: Sequence[int] | None
    classes: tuple[str, ...] | None


def list_pictures(names: Sequence[Name]) -> Listing:
    """Return what names say, given in the order in which the pictures are taken.

    Folders that hold everything are passed over. If the training part is among the folders then, they are the parts;
    otherwise, or inside the parts, they are classes. Raises PIEError if that can be meant in two ways.
    """
    shown = ["/".join(name) for name in names]
    depth = 0
    while len({name[depth] for name in names}) == 1 and all(len(name) > depth + 1 for name in names):
        depth += 1
    names = [name[depth:] for name in names]
    parts = _parts(names)
    inside = names if parts is None else [name[1:] for name in names]
    classes = _classes(inside, shown, parts)
    labels = None
    if classes is not None:
        numbers = {name: number for number, name in enumerate(classes)}
        labels = [numbers[name[0]] for name in inside]
        classes = tuple(map(characters, classes))
    return Listing(shown, parts, labels, classes)


def _parts(names: Sequence[Name]) -> list[Part] | None:
    """Return the part that each picture is in, if the folders say so."""
    folders = sorted({name[0] for name in names if len(name) > 1})
    known = {folder: FOLDERS[folder.lower()] for folder in folders if folder.lower() in FOLDERS}
    if not (trained := [folder for folder in folders if known.get(folder) == "train"]):
        if len(known) == len(folders) > 1:
            raise PIEError(f"there are {few(folders)}, but no pictures in a folder train; put some there")
        return None
    if others := [folder for folder in folders if folder not in known] + [n[0] for n in names if len(n) == 1]:
        raise PIEError(f"beside the folder {trained[0]} there are {few(others)}; move them into train, val or test")
    if doubled := [part for part, count in Counter(known.values()).items() if count > 1]:
        alike = few([folder for folder, part in known.items() if part in doubled])
        raise PIEError(f"these folders are the same part of the set: {alike}; put their pictures into one")
    return [known[name[0]] for name in names]


def _classes(names: Sequence[Name], shown: Sequence[str], parts: Sequence[Part] | None) -> tuple[str, ...] | None:
    """Return the names of the classes, or None if there are no folders. Raises PIEError if some pictures have none."""
    without = [full for name, full in zip(names, shown, strict=True) if len(name) == 1]
    if len(without) == len(names):
        return None
    if without:
        raise PIEError(f"these pictures are in no class, though others are: {few(without)}; move them into one")
    classes = sorted({name[0] for name in names})
    alike = Counter(map(_as_read, classes))
    if doubled := [name for name in classes if alike[_as_read(name)] > 1]:
        case = len({name.casefold() for name in doubled}) < len(doubled)
        how = "upper and lower case" if case else "how their accents are stored"
        raise PIEError(f"these classes differ only in {how}: {few(doubled)}; rename one")
    if parts is not None:
        trained = {name[0] for name, part in zip(names, parts, strict=True) if part == "train"}
        if unknown := [name for name in classes if name not in trained]:
            raise PIEError(f"these classes have no training picture: {few(unknown)}; add some, or remove the classes")
    return tuple(classes)


def _as_read(name: str) -> str:
    """Return a name as whoever reads it sees it: accents can be stored in two ways."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).casefold())
