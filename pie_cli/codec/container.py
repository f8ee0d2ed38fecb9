"""The file: a header that says everything about the images, and the layers, most important first.

docs/FORMAT.md has the bytes. Nothing in a file is trusted: lengths are compared with what is there, and checksums come
before decoding.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Literal, get_args

from pie_cli.codec.coder import Damaged
from pie_cli.codec.levels import FINEST
from pie_cli.codec.names import check_names

MAGIC = b"\x89PIE\r\n\x1a\n"  # as PNG's: a transfer as text, or to seven bits, damages it visibly
VERSION = 1
CHECKSUM = 8  # first bytes of a SHA-256
LARGEST_VALUES = 2**31  # pixel values in a file
LARGEST_NAMES = 2**26  # bytes of all names

# What the images came in as: an array is (N, H, W, C), a grey array (N, H, W), a tensor (N, C, H, W).
Kind = Literal["pictures", "tensor", "grey array", "array"]
KINDS: tuple[Kind, ...] = get_args(Kind)
_CHANNELS: dict[Kind, tuple[int, ...]] = {"pictures": (1, 3), "grey array": (1,)}

_FIXED = struct.Struct("<8sHHIQHIIBBBB32s32sI")
_LAYER = struct.Struct(f"<Qf{CHECKSUM}s")


@dataclass(frozen=True)
class Layer:
    """One layer as the header describes it.

    Arguments:
        length: in bytes.
        mse: of the images that are decoded with all layers up to this one, pixels in [0, 1].
        checksum: the beginning of its SHA-256.
    """

    length: int
    mse: float
    checksum: bytes

    @classmethod
    def of(cls, content: bytes, mse: float) -> Layer:
        """Return the description of a layer's content."""
        return cls(len(content), mse, _checksum(content))


@dataclass(frozen=True)
class Header:
    """What a file says before its layers.

    Arguments:
        kind: what the images came in as.
        count: how many there are.
        shape: (C, H, W).
        fineness: how often the steps of z and the levels are halved.
        exact: whether the last layer makes the pixels exact.
        model: SHA-256 of the weights and the tables.
        pixels: SHA-256 of the images' pixels, (N, C, H, W) of uint8.
        names: of pictures; empty for arrays.
        layers: z, the levels, the nearest to z first, and the exact layer.
    """

    kind: Kind
    count: int
    shape: tuple[int, int, int]
    fineness: int
    exact: bool
    model: str
    pixels: str
    names: tuple[str, ...]
    layers: tuple[Layer, ...]

    @property
    def keep(self) -> int:
        """How many levels there are beside z."""
        return len(self.layers) - 1 - self.exact

    @property
    def size(self) -> int:
        """How many bytes the whole file has."""
        return len(self.pack()) + sum(layer.length for layer in self.layers)

    def layer_name(self, number: int) -> str:
        """Return what to call a layer."""
        if number == 0:
            return "z"
        return "exact" if number > self.keep else f"level {number}"

    def pack(self) -> bytes:
        """Return the header's bytes."""
        names = zlib.compress("\0".join(self.names).encode(), 9) if self.names else b""
        length = _FIXED.size + len(names) + _LAYER.size * len(self.layers) + CHECKSUM
        sha256 = bytes.fromhex(self.model), bytes.fromhex(self.pixels)
        how = self.fineness, self.keep, int(self.exact), 0
        head = MAGIC, VERSION, KINDS.index(self.kind), length, self.count, *self.shape, *how, *sha256, len(names)
        layers = b"".join(_LAYER.pack(one.length, one.mse, one.checksum) for one in self.layers)
        content = _FIXED.pack(*head) + names + layers
        return content + _checksum(content)


@dataclass(frozen=True)
class Container:
    """A compressed file, perhaps cut.

    Arguments:
        header: its header.
        content: the bytes of its layers, as far as they are there.
    """

    header: Header
    content: bytes

    @classmethod
    def pack(cls, header: Header, layers: Sequence[bytes]) -> bytes:
        """Return the bytes of a file."""
        return header.pack() + b"".join(layers)

    @classmethod
    def parse(cls, content: bytes) -> Container:
        """Return a file from its bytes. Raises `Damaged` if the header is not whole, or more follows than it says."""
        header, end = _parse_header(content)
        if len(content) - end > (whole := sum(layer.length for layer in header.layers)):
            raise Damaged(f"{len(content) - end - whole:,} bytes follow its end")
        return cls(header, content[end:])

    @property
    def complete(self) -> int:
        """How many layers are there to their last byte."""
        there, left = 0, len(self.content)
        for layer in self.header.layers:
            left -= layer.length
            if left < 0:
                break
            there += 1
        return there

    def layer(self, number: int) -> bytes:
        """Return a layer's bytes. Raises `Damaged` if it is not whole, or its checksum is another."""
        layers, name = self.header.layers, self.header.layer_name(number)
        start = sum(layer.length for layer in layers[:number])
        content = self.content[start : start + layers[number].length]
        if len(content) < layers[number].length:
            raise Damaged(f"it is cut: the layer {name!r} is not complete")
        if _checksum(content) != layers[number].checksum:
            raise Damaged(f"the layer {name!r} does not match its checksum")
        return content

    def reduced(self, keep: int) -> bytes:
        """Return a file with z and the first `keep` levels alone. Raises `Damaged` as `layer` does."""
        header = replace(self.header, exact=False, layers=self.header.layers[: keep + 1])
        return self.pack(header, [self.layer(number) for number in range(keep + 1)])


def _checksum(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:CHECKSUM]


def _parse_header(content: bytes) -> tuple[Header, int]:
    """Return the header and where it ends. Raises `Damaged` with the reason if there is none."""
    if content[: len(MAGIC)] != MAGIC:
        raise Damaged("it is no .pie file")
    if len(content) < _FIXED.size:
        raise Damaged("it is cut within its header")
    _, version, kind, length, count, *shape, fineness, keep, exact, _, model, pixels, names = _FIXED.unpack_from(
        content
    )
    if version != VERSION:
        raise Damaged(f"it has version {version} of the format, and this program reads {VERSION}; use another release")
    layers = keep + 1 + exact
    if length != _FIXED.size + names + layers * _LAYER.size + CHECKSUM:
        raise Damaged("its header is damaged")
    if len(content) < length:
        raise Damaged("it is cut within its header")
    if _checksum(content[: length - CHECKSUM]) != content[length - CHECKSUM : length]:
        raise Damaged("its header does not match its checksum")
    if kind >= len(KINDS) or exact > 1 or fineness > FINEST or not 0 < count * prod(shape) <= LARGEST_VALUES:
        raise Damaged("its header says what no file can hold")
    table = _LAYER.iter_unpack(content[length - CHECKSUM - layers * _LAYER.size : length - CHECKSUM])
    found = Header(
        kind=KINDS[kind],
        count=count,
        shape=(shape[0], shape[1], shape[2]),
        fineness=fineness,
        exact=bool(exact),
        model=model.hex(),
        pixels=pixels.hex(),
        names=_parse_names(content[_FIXED.size : _FIXED.size + names], count),
        layers=tuple(Layer(*one) for one in table),
    )
    check_kind(found.kind, found.names, count, found.shape[0])
    return found, length


def check_kind(kind: Kind, names: Sequence[str], count: int, channels: int) -> None:
    """Raise `Damaged` unless so many images of so many channels can have come in as this, with these names."""
    if kind not in KINDS:
        raise Damaged(f"it holds {kind!r}, which is none of {', '.join(KINDS)}")
    if channels not in _CHANNELS.get(kind, (channels,)):
        raise Damaged(f"its images have {channels} channels, but came in as {kind}")
    if (kind == "pictures") != bool(names):
        raise Damaged("it has names where there are no pictures, or none where there are")
    if names and len(names) != count:
        raise Damaged(f"it has {len(names):,} names for {count:,} pictures")
    if sum(len(name.encode(errors="replace")) + 1 for name in names) > LARGEST_NAMES:
        raise Damaged("its names are too long")
    check_names(names)


def _parse_names(packed: bytes, count: int) -> tuple[str, ...]:
    """Return the names of pictures. Raises `Damaged` if they are too long, or there cannot be as many as pictures."""
    if not packed:
        return ()
    try:
        opened = zlib.decompressobj()
        text = opened.decompress(packed, LARGEST_NAMES)
        if opened.unconsumed_tail or not opened.eof or opened.unused_data:
            raise Damaged("its names are too long")
        if (found := text.count(b"\0") + 1) != count:  # counted first: what is split takes far more memory
            raise Damaged(f"it has {found:,} names for {count:,} pictures")
        return tuple(text.decode().split("\0"))
    except (zlib.error, UnicodeDecodeError) as error:
        raise Damaged("its names cannot be read") from error
