"""A decoder of z and one level, written from docs/FORMAT.md alone: nothing of the codec itself is imported."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import pie_cli
from pie_cli.data.base import Dataset
from pie_cli.runs.find import SHOWCASE

pytest.importorskip("constriction", reason="the extra codec is not installed")


class RangeDecoder:
    """The entropy code, as the page describes it."""

    def __init__(self, content: bytes) -> None:
        self.words = list(struct.unpack(f"<{len(content) // 4}I", content))
        self.lower, self.range = 0, 2**64 - 1
        self.point = self.word() << 32 | self.word()

    def word(self) -> int:
        return self.words.pop(0) if self.words else 0

    def symbol(self, frequencies: np.ndarray[Any, Any]) -> int:
        ends = np.cumsum(frequencies.astype(np.int64) + 1)
        assert ends[-1] == 2**24
        scale = self.range >> 24
        q = (self.point - self.lower) % 2**64 // scale
        assert q < 2**24
        found = int(np.searchsorted(ends, q, side="right"))
        left = int(ends[found - 1]) if found else 0
        self.lower = (self.lower + scale * left) % 2**64
        self.range = scale * int(frequencies[found] + 1)
        if self.range < 2**32:
            self.lower, self.range = self.lower * 2**32 % 2**64, self.range * 2**32
            self.point = self.point * 2**32 % 2**64 + self.word()
        return found


def decode(data: bytes, levels: int) -> np.ndarray[Any, Any]:
    """Return the pixels (N, C, H, W) from z and so many levels, of a file whose images fill one group."""
    magic, version, _, length, n, *shape, s, k, exact, _, sha256, _, names = struct.unpack_from(
        "<8sHHIQHIIBBBB32s32sI", data
    )
    assert (magic, version) == (bytes.fromhex("89504945 0D0A1A0A"), 1)
    start = struct.calcsize("<8sHHIQHIIBBBB32s32sI") + names
    table = [struct.unpack_from("<Qf8s", data, start + 20 * i) for i in range(1 + k + exact)]
    assert data[length - 8 : length] == hashlib.sha256(data[: length - 8]).digest()[:8]

    tables = load_file(SHOWCASE / "coding.safetensors")
    model = pie_cli.load_showcase()
    assert isinstance(model, pie_cli.PIE)
    assert sha256.hex() == hashlib.sha256((weights_hash(model) + tensors_hash(tables)).encode()).hexdigest()
    sizes = [model.latent_dim, *reversed(model.residual_sizes)]
    first, at, values = 0, length, []
    for level in range(1 + levels):
        layer = data[at : at + table[level][0]]
        assert hashlib.sha256(layer).digest()[:8] == table[level][2]
        decoder, numbers = RangeDecoder(layer), []
        for j in range(first, first + sizes[level]):
            frequencies = tables["frequencies"][min(level, 1), min(63, tables["classes"][j] + 4 * s)]
            symbols = [decoder.symbol(frequencies) for _ in range(n)]
            high = [decoder.symbol(np.full(256, 65535)) for one in symbols if one == 255]
            low = [decoder.symbol(np.full(256, 65535)) for one in symbols if one == 255]
            q = [one - 127 if one < 255 else 256 * high.pop(0) + low.pop(0) - 32768 for one in symbols]
            numbers.append(np.array(q, np.float32) * (tables["steps"][j] / np.float32(2**s)))
        values.append(torch.from_numpy(np.stack(numbers, 1)))
        first, at = first + sizes[level], at + table[level][0]
    missing = [torch.zeros(n, size) for size in model.residual_sizes[: len(sizes) - 1 - levels]]
    with torch.no_grad():
        images = 255 * model.decode(values[0], [*missing, *reversed(values[1:])])
    return images.round().clamp(0, 255).byte().numpy().reshape(n, *shape)


def weights_hash(model: torch.nn.Module) -> str:
    return tensors_hash({name: tensor.float().numpy() for name, tensor in model.state_dict().items()})


def tensors_hash(tensors: dict[str, np.ndarray[Any, Any]]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name]
        digest.update(f"\n{name} torch.{array.dtype} {array.shape}\n".encode() + array.tobytes())
    return digest.hexdigest()


@pytest.mark.parametrize("fineness", [0, 3])
def test_a_decoder_written_from_the_page_agrees(fineness: int, digits: Dataset) -> None:
    model = pie_cli.load_showcase()
    images = digits.test.images[:8].clone()
    images[0, 0, ::2] = 255 - images[0, 0, ::2]  # unlike a digit: some of its numbers need escapes
    data = pie_cli.compress(model, images, 1, lossless=False, fineness=fineness)
    for levels in (0, 1):
        ours = pie_cli.decompress(data, model, keep=levels).numpy().astype(int)
        assert np.abs(ours - decode(data, levels)).max() <= 1  # halves may be rounded either way
        assert (ours != decode(data, levels)).mean() < 1e-3


def test_a_file_written_by_an_earlier_release_on_another_machine(digits: Dataset) -> None:
    """Wrong pixels would be refused: their hash stands in the file. It is of the shipped run, and made anew with it."""
    written = (Path(__file__).parent / "data" / "digits.pie").read_bytes()
    images = pie_cli.decompress(written, pie_cli.load_showcase())
    assert (images.int() - digits.test.images[:20].int()).abs().max() <= 1  # the enlargement may round otherwise
