#!/usr/bin/env python3
"""Make the three sets of docs/DATA.md from packages of Debian 12: clip art, icons, patches of photographs.

    python scripts/debian_pictures.py pictures

It needs apt-get and dpkg-deb, no rights, and fetches 200 MB. The licences are in each package's copyright file.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

CLIPART = ("animals", "computer", "food", "people", "recreation", "shapes", "signs_and_symbols", "transportation")
THEMES = {"oxygen-icon-theme": "oxygen/base", "gnome-icon-theme": "gnome", "tango-icon-theme": "Tango"}
ICONS = ("actions", "apps", "categories", "devices", "emblems", "emotes", "mimetypes", "places", "status")
PHOTOGRAPHS = ("lomiri-wallpapers-16.04", "lomiri-wallpapers-20.04")
SHORTER_SIDE, PATCH, STRIDE = 480, 64, 24  # pixels


def unpack(package: str, folder: Path) -> Path:
    """Fetch a package and return where its `usr/share` lies."""
    place = folder / package
    place.mkdir()
    subprocess.run(["apt-get", "download", "-q", package], cwd=place, check=True)
    (archive,) = place.glob("*.deb")
    subprocess.run(["dpkg-deb", "-x", str(archive), str(place)], check=True)
    return place / "usr/share"


def clip_art(folder: Path, packages: Path) -> None:
    """Clip art of eight subjects: the first level of its folders."""
    found = unpack("openclipart-png", packages) / "openclipart/png"
    for subject in CLIPART:
        shutil.copytree(found / subject, folder / subject, ignore=lambda _, names: _not_png(names))


def icons(folder: Path, packages: Path) -> None:
    """Icons of 32 pixels of three themes, by what they stand for; links to other icons are left out."""
    for package, theme in THEMES.items():
        found = unpack(package, packages) / "icons" / theme / "32x32"
        for kind in ICONS:
            (folder / kind).mkdir(parents=True, exist_ok=True)
            for icon in found.joinpath(kind).glob("*.png"):
                if not icon.is_symlink():
                    shutil.copy(icon, folder / kind / f"{package}-{icon.name}")


def photographs(folder: Path, packages: Path) -> None:
    """Patches of photographs. Two photographs are for validation and two for the test: patches of one look alike."""
    found = sorted(path for package in PHOTOGRAPHS for path in (unpack(package, packages) / "backgrounds").iterdir())
    for number, path in enumerate(found):
        part = folder / {0: "test", 5: "val"}.get(number % 10, "train")
        part.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        scale = SHORTER_SIDE / min(image.size)
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
        for top in range(0, image.height - PATCH + 1, STRIDE):
            for left in range(0, image.width - PATCH + 1, STRIDE):
                patch = image.crop((left, top, left + PATCH, top + PATCH))
                patch.save(part / f"{path.stem}-{top}-{left}.png")


def _not_png(names: list[str]) -> set[str]:
    return {name for name in names if "." in name and not name.endswith(".png")}


def main() -> None:
    """Make the sets that are not there yet."""
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for make in (clip_art, icons, photographs):
        with tempfile.TemporaryDirectory(dir=target) as packages:
            if not (folder := target / make.__name__.replace("_", "")).exists():
                make(made := Path(packages) / "made", Path(packages))
                made.rename(folder)


if __name__ == "__main__":
    main()
