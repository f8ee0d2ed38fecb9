"""The files of a data set: from the data folder, or fetched over HTTP(S), and verified by their hashes.

Wherever the bytes come from, they are a set's only if their hash is the known one; nothing else is kept. What is read,
received or unpacked before that check is bounded in size, and nothing in it is executed.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import time
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Literal
from urllib import request
from urllib.error import HTTPError
from urllib.parse import urlsplit

from pie_cli.errors import PIEError, advising
from pie_cli.io.files import read_bytes, write_bytes
from pie_cli.io.locks import lock

SOCKET_TIMEOUT = 10.0  # seconds without an answer from a mirror

Fetch = Callable[[list[str]], tuple[dict[str, bytes], str]]  # from names to contents, and what the source is called


class Unavailable(Exception):
    """A source did not provide the files; the message says why, as part of a line."""


@dataclass(frozen=True)
class Files:
    """Which files a data set has, where they lie, and where they are fetched from."""

    title: str  # "MNIST's four files"
    digests: Mapping[str, str]  # of the files by name, in hexadecimal
    algorithm: Literal["SHA-256", "MD5"] = "MD5"  # MD5 is what torchvision lists
    folders: tuple[str, ...] = (".",)  # below the data folder, where they are looked for; they are kept in the first
    mirrors: Callable[[], Sequence[str]] = tuple  # addresses of folders that have the files
    others: Mapping[str, Fetch] = field(default_factory=dict)  # sources after the mirrors, by what they are called
    zipped: bool = False  # whether mirrors, and perhaps the data folder, have them as .gz; what is in it is verified
    largest: int = 256 * 2**20  # bytes of a file; the largest of a set has 182,040,794
    timeout: float = 1_800.0  # seconds for all files of a mirror

    def load(self, data_dir: Path, offline: bool, report: Callable[[str], None]) -> tuple[dict[str, bytes], str]:
        """Return the verified bytes of the files by name, and one line that says where they came from.

        Missing ones are fetched and kept in the first of the folders. `offline` opens no connection.

        Raises PIEError if a file there is not the set's, if no source has the missing ones, or if they cannot be kept.
        """
        kept = data_dir / self.folders[0]
        files, source = self.find(data_dir), f"{data_dir} ({self.algorithm} verified)"
        missing = self._missing(files)
        if not missing:
            return files, source
        if offline:
            raise PIEError(
                f"{data_dir} lacks {', '.join(missing)}, and `offline` forbids fetching; put what is missing into "
                f"{kept}, pass a `data_dir` that has it, drop `offline`, or use `dataset` digits, which needs no "
                "download"
            )
        waiting = f"another process is fetching {self.title} into {kept}; waiting for it"
        # Taking the lock also shows, before any download, whether the folder can be written.
        with advising("data_dir"), lock(kept / ".lock", waiting, report):
            files = self.find(data_dir)  # again: another process may have fetched them in the meantime
            if missing := self._missing(files):
                fetched, place = self._fetch(missing, data_dir, report)
                for name, content in fetched.items():
                    write_bytes(kept / name, content)
                files, source = files | fetched, f"{place} ({self.algorithm} verified), kept in {kept}"
        return files, source

    def find(self, data_dir: Path) -> dict[str, bytes]:
        """Return those of the files that exist. Raises PIEError if one exists that is not the set's."""
        files: dict[str, bytes] = {}
        altered: list[str] = []
        for name in self.digests:
            for path in self._places(data_dir, name):
                try:
                    if not path.exists():
                        continue
                    content = self._verified(name, read_bytes(path, self.largest))
                except ValueError:
                    content = None
                except OSError as error:
                    message = f"cannot read {path}: {error.strerror or error}; fix that or pass another `data_dir`"
                    raise PIEError(message) from error
                if content is None:
                    altered.append(str(path))
                else:
                    files[name] = content
                break
        if altered:
            raise PIEError(
                f"wrong {self.algorithm} (truncated or altered?): {', '.join(altered)}; delete and rerun to fetch "
                "again, or pass another `data_dir`"
            )
        return files

    def is_known(self, name: str, content: bytes) -> bool:
        """Return whether this is the content of the file `name`."""
        digest = hashlib.new(self.algorithm.replace("-", ""), content, usedforsecurity=False)
        return digest.hexdigest() == self.digests[name]

    def _missing(self, found: Iterable[str]) -> list[str]:
        return [name for name in self.digests if name not in found]

    def _places(self, data_dir: Path, name: str) -> list[Path]:
        """Return where a file may lie, the likeliest place first; people write train-images.idx3-ubyte too."""
        names = [name, name.replace("-idx", ".idx")]
        names += [f"{spelling}.gz" for spelling in names if self.zipped]
        return [data_dir / folder / spelling for folder in self.folders for spelling in dict.fromkeys(names)]

    def _verified(self, name: str, content: bytes) -> bytes | None:
        """Return the content of a file, unpacked if it is a .gz of that; None if it is neither."""
        if self.is_known(name, content):
            return content
        try:
            unpacked = gunzip(content, self.largest) if self.zipped else b""
        except ValueError:
            return None
        return unpacked if self.is_known(name, unpacked) else None

    def _fetch(self, names: list[str], data_dir: Path, report: Callable[[str], None]) -> tuple[dict[str, bytes], str]:
        """Return the verified bytes of `names` from the first source that has them, and that source's description."""
        some = "" if len(names) == len(self.digests) else f"{len(names)} of "
        failures = [f"{data_dir} lacks {some}{self.title}"]
        for place, fetch in {"torchvision's mirrors": self._from_mirrors, **self.others}.items():
            report(f"{failures[-1]}; trying {place}")
            try:
                return fetch(names)
            except (Unavailable, OSError) as error:
                failures.append(f"{place}: {error}")
        raise PIEError(
            f"cannot fetch {self.title}: {'; '.join(failures)}; pass a `data_dir` that has {', '.join(names)}, put "
            f"what is missing into {data_dir / self.folders[0]}, or use `dataset` digits, which needs no download"
        )

    def _from_mirrors(self, names: list[str]) -> tuple[dict[str, bytes], str]:
        failures: list[str] = []
        for mirror in self.mirrors():
            host, deadline = urlsplit(mirror).netloc, time.monotonic() + self.timeout
            try:
                files = {name: self._from_mirror(mirror, name, deadline) for name in names}
                return files, f"torchvision's mirror {host}"
            except Unavailable as error:
                failures.append(f"{host}: {error}")
        raise Unavailable("; ".join(failures))

    def _from_mirror(self, mirror: str, name: str, deadline: float) -> bytes:
        sent = download(f"{mirror}{name}{'.gz' if self.zipped else ''}", self.largest, deadline)
        if (content := self._verified(name, sent)) is None:
            raise Unavailable(f"sent a web page or something else instead of {name} (wrong {self.algorithm})")
        return content


def gunzip(content: bytes, largest: int) -> bytes:
    """Return what is in a .gz, up to `largest` bytes. Raises ValueError if it is not one, or is damaged."""
    try:
        return gzip.GzipFile(fileobj=io.BytesIO(content)).read(largest)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"it is not a whole .gz: {error}") from error


def download(url: str, largest: int, deadline: float) -> bytes:
    """Return what is at an HTTP(S) address.

    Raises Unavailable if that is nothing, has more than `largest` bytes, or is not here by `deadline` (in seconds of
    `time.monotonic`).
    """
    content = bytearray()
    try:
        with _http().open(url, timeout=SOCKET_TIMEOUT) as response:
            while chunk := response.read1(2**16):
                content += chunk
                if len(content) > largest or time.monotonic() > deadline:
                    raise Unavailable(f"{url.rpartition('/')[2]} is too large or comes too slowly")
    except HTTPError as error:
        raise Unavailable(f"HTTP status {error.code}") from error
    except (OSError, HTTPException, ValueError) as error:  # ValueError: redirected to something that is not a URL
        raise Unavailable(str(getattr(error, "reason", error))) from error
    return bytes(content)


def _http() -> request.OpenerDirector:
    """Return an opener for HTTP and HTTPS, through the user's proxies, that no redirect leads to another scheme."""
    opener = request.OpenerDirector()
    schemes = request.HTTPHandler, request.HTTPSHandler, request.UnknownHandler
    answers = request.HTTPDefaultErrorHandler, request.HTTPErrorProcessor
    for handler in (request.ProxyHandler, request.HTTPRedirectHandler, *schemes, *answers):
        opener.add_handler(handler())
    return opener
