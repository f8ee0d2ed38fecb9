"""Models as ONNX, checked by ONNX Runtime on the way."""

from __future__ import annotations

from importlib.util import find_spec

import torch
from torch import Tensor

from pie_cli.errors import UsageError
from pie_cli.models.base import Autoencoder
from pie_cli.share.export_parts import Computed, Part, flat, quiet, traced


def check_installed() -> None:
    """Raise UsageError without the extra `onnx`."""
    if any(find_spec(name) is None for name in ("onnxscript", "onnxruntime")):
        raise UsageError("`to` onnx needs the extra: pip install 'pseudo-invertible-encoder[onnx]'")


def graph(part: Part, model: Autoencoder) -> tuple[bytes, Computed]:
    """Return a part as a file, and what ONNX Runtime makes of that. Raises PIEError if it cannot be exported."""
    program = traced(part, model)
    with quiet(part.name):
        exported = torch.onnx.export(
            program, dynamo=True, verbose=False, input_names=part.takes, output_names=part.gives
        )
        assert exported is not None
        content: bytes = exported.model_proto.SerializeToString()
        return content, runtime(part, content)


def runtime(part: Part, content: bytes) -> Computed:
    """Return what ONNX Runtime makes of a graph, as a function of tensors."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # errors
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def compute(*inputs: Tensor | list[Tensor]) -> list[Tensor]:
        feed = {name: tensor.numpy() for name, tensor in zip(part.takes, flat(inputs), strict=True)}
        return [torch.from_numpy(array) for array in session.run(list(part.gives), feed)]

    return compute
