"""What lies beside exported graphs: what goes in and comes out, and how to run them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

from pie_cli.io.text import markdown_text
from pie_cli.models.base import Autoencoder
from pie_cli.models.pie import PIE
from pie_cli.runs.folder import Run
from pie_cli.share.card import about
from pie_cli.share.export_parts import Part

SUFFIXES = {"onnx": "onnx", "torch": "pt2"}  # of the files
# How to run the graphs of every model, and the exact ones of a PIE; SHAPE stands for that of an image.
_CODE = {
    "onnx": (
        """import numpy as np
import onnxruntime

encode, decode = (onnxruntime.InferenceSession(f"{name}.onnx") for name in ("encode", "decode"))
images = np.random.rand(5, SHAPE).astype(np.float32)  # any number of them
(z,) = encode.run(None, {"images": images})
(decoded,) = decode.run(None, {"z": z})
""",
        """
encode, decode = (onnxruntime.InferenceSession(f"{name}_exact.onnx") for name in ("encode", "decode"))
names = [one.name for one in encode.get_outputs()]
(again,) = decode.run(None, dict(zip(names, encode.run(None, {"images": images}))))
""",
    ),
    "torch": (
        """import torch

encode, decode = (torch.export.load(f"{name}.pt2").module() for name in ("encode", "decode"))
images = torch.rand(5, SHAPE)  # any number of them
z = encode(images)
decoded = decode(z)
""",
        """
encode, decode = (torch.export.load(f"{name}_exact.pt2").module() for name in ("encode", "decode"))
z, residuals = encode(images)
again = decode(z, residuals)
""",
    ),
}


def about_graphs(run: Run, model: Autoencoder, parts: Sequence[Part], to: Literal["onnx", "torch"]) -> str:
    """Return the README.md of exported graphs."""
    return "\n".join(_lines(run, model, parts, to))


def _lines(run: Run, model: Autoencoder, parts: Sequence[Part], to: Literal["onnx", "torch"]) -> Iterator[str]:
    yield f"# {markdown_text(run.label)}\n"
    yield from about(run, model)
    yield "## The files\n\n| file | from | to |\n|:---|:---|:---|"
    for part in parts:
        yield f"| {part.name}.{SUFFIXES[to]} | {', '.join(part.takes)} | {', '.join(part.gives)} |"
    shape = ", ".join(map(str, model.image_shape))
    yield f"\nAll tensors are float32. `images` is (batch, {shape}), of values in [0, 1]."
    yield f"`z` is (batch, {model.latent_dim})."
    plain, exact = _CODE[to]
    if isinstance(model, PIE):
        sizes = ", ".join(f"`r{level}` (batch, {size})" for level, size in enumerate(model.residual_sizes, 1))
        yield f"The residuals are {sizes}."
        yield "With them, decoding is exact to float precision. Zeros stand for those that are missing."
        plain += exact
    yield f"\n```python\n{plain.replace('SHAPE', shape)}```\n"
