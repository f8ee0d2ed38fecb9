"""Which flows can be exported: `python -m bench.exports` writes bench/EXPORTS.md."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from pie_cli import PIEConfig
from pie_cli.io.files import write_text
from pie_cli.io.provenance import git_commit, short_commit
from pie_cli.share.export_parts import flat

SMALL = PIEConfig((1, 8, 8), latent_dim=4, linear_dims=(6,), couplings=1, conv_width=4, dense_width=8, dense_depth=1)
ABOUT = (
    "Each flow is tried as its users would: torch.export for any batch, and ONNX of that, run by ONNX Runtime on "
    'another batch. "away" is the largest difference from the library\'s own result. A PIE is that of a small image, '
    "with one coupling in each block, from each library's parts as in the benchmark; README is the first example of a "
    "library's own documentation."
)
EXAMPLE, OTHER = 3, 7  # batches: for tracing, and to run
LONGEST = 400  # characters of an error


class Calling(nn.Module):
    """A function of a model as a module."""

    def __init__(self, model: nn.Module, function: Callable[[Any, Tensor], Any]) -> None:
        super().__init__()
        self.model, self.function = model, function

    def forward(self, x: Tensor) -> Any:
        return self.function(self.model, x)


@dataclass(frozen=True)
class Subject:
    """One direction of a flow.

    Arguments:
        name: of the library and what is built from it.
        direction: what is computed, in words.
        build: makes the model.
        function: computes it.
        shape: of an input, without the batch.
    """

    name: str
    direction: str
    build: Callable[[], nn.Module]
    function: Callable[[Any, Tensor], Any]
    shape: tuple[int, ...]


def _pie(config: PIEConfig) -> nn.Module:
    from bench.subjects import as_trained

    return as_trained(config)


def _freia(config: PIEConfig) -> nn.Module:
    from bench.freia import FreiaPIE

    return FreiaPIE(config)


def _normflows(config: PIEConfig) -> nn.Module:
    from bench.normalizing_flows import NormflowsPIE

    return NormflowsPIE(config)


def _freia_example() -> nn.Module:
    """FrEIA's README: SequenceINN of AllInOneBlocks on two dimensions."""
    from FrEIA.framework import SequenceINN
    from FrEIA.modules import AllInOneBlock

    def network(inputs: int, outputs: int) -> nn.Module:
        return nn.Sequential(nn.Linear(inputs, 512), nn.ReLU(), nn.Linear(512, outputs))

    flow = SequenceINN(2)
    for _ in range(8):
        flow.append(AllInOneBlock, subnet_constructor=network, permute_soft=True)
    return flow


def _normflows_example() -> nn.Module:
    """normflows' README: a Real NVP of AffineCouplingBlocks and Permutes on two dimensions."""
    import normflows as nf

    flows = []
    for _ in range(32):
        flows += [
            nf.flows.AffineCouplingBlock(nf.nets.MLP([1, 64, 64, 2], init_zeros=True)),
            nf.flows.Permute(2, "swap"),
        ]
    return nf.NormalizingFlow(nf.distributions.base.DiagGaussian(2), flows)


def subjects() -> list[Subject]:
    """Return what is tried."""
    found = []
    for name, build in (("pie", _pie), ("FrEIA, PIE", _freia), ("normflows, PIE", _normflows)):
        for direction, shape in (("encode", SMALL.image_shape), ("decode", (SMALL.latent_dim,))):
            found.append(Subject(name, direction, lambda build=build: build(SMALL), _method(direction), shape))  # type: ignore[misc]
    found += [
        Subject("FrEIA, README", "encode", _freia_example, lambda flow, x: flow(x), (2,)),
        Subject("FrEIA, README", "decode", _freia_example, lambda flow, x: flow(x, rev=True), (2,)),
        Subject("normflows, README", "encode", _normflows_example, lambda flow, x: flow.inverse_and_log_det(x), (2,)),
        Subject("normflows, README", "decode", _normflows_example, lambda flow, x: flow.forward_and_log_det(x), (2,)),
    ]
    return found


def _method(name: str) -> Callable[[Any, Tensor], Any]:
    return lambda model, x: getattr(model, name)(x)


@dataclass(frozen=True)
class Tried:
    """What came of a subject: for any batch, and for a batch of one size where that failed; with the errors."""

    torch: str
    onnx: str
    errors: list[str]


def tried(subject: Subject) -> Tried:
    """Export a subject for any batch, or else for the example's size alone, and run what comes of it."""
    torch.manual_seed(0)
    module = Calling(subject.build(), subject.function).eval().requires_grad_(False)
    for parameter in module.parameters():  # fresh networks end in zeros, and would compute nothing
        parameter.add_(0.02 * torch.randn_like(parameter))
    batch, errors = torch.export.Dim("batch", min=1), list[str]()
    for shapes, count, words in ((({0: batch},), OTHER, "any batch"), (None, EXAMPLE, f"a batch of {EXAMPLE} alone")):
        x = torch.rand(count, *subject.shape)
        expected = flat(module(x))
        try:
            program = torch.export.export(module, (torch.rand(EXAMPLE, *subject.shape),), dynamic_shapes=shapes)
            in_torch = f"{words}, {_difference(flat(program.module()(x)), expected)}"
        except Exception as error:  # whatever it is, it is the answer
            errors.append(f"torch.export, {words}: `{_text(error)}`")
            continue
        try:
            return Tried(in_torch, f"{words}, {_difference(_in_onnx(program, x), expected)}", errors)
        except Exception as error:
            return Tried(in_torch, "no", [*errors, f"ONNX, {words}: `{_text(error)}`"])
    return Tried("no", "no", errors)


def _in_onnx(program: torch.export.ExportedProgram, x: Tensor) -> list[Tensor]:
    import onnxruntime

    exported = torch.onnx.export(program, dynamo=True, verbose=False)
    assert exported is not None
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(exported.model_proto.SerializeToString(), options)
    results = session.run(None, {session.get_inputs()[0].name: x.numpy()})
    return [torch.from_numpy(one) for one in results]


def _difference(found: list[Tensor], expected: list[Tensor]) -> str:
    largest = max((one - two).abs().max().item() for one, two in zip(found, expected, strict=True))
    return f"{largest:.0e} away"


def _text(error: BaseException) -> str:
    """Return the text of what an error comes from, on one line."""
    while error.__cause__ is not None:
        error = error.__cause__
    return " ".join(str(error).split())[:LONGEST].replace("`", "'")


def main() -> None:
    """Try all subjects, and write what came of it."""
    warnings.simplefilter("ignore")
    rows, errors = list[list[str]](), list[str]()
    for subject in subjects():
        found = tried(subject)
        rows.append([subject.name, subject.direction, found.torch, found.onnx])
        errors += [f"- {subject.name}, {subject.direction}, {text}" for text in found.errors]
        print(" | ".join(rows[-1]), *found.errors, sep="\n    ")
    head = ["flow", "direction", "torch.export", "ONNX Runtime"]
    lines = ["# Which flows can be exported", "", "Command: `python -m bench.exports`", "", ABOUT, ""]
    lines += [f"| {' | '.join(one)} |" for one in (head, [":---"] * len(head), *rows)]
    lines += ["", "Errors:", "", *(errors or ["none"]), "", _versions()]
    write_text(Path(__file__).with_name("EXPORTS.md"), "\n".join(lines) + "\n")


def _versions() -> str:
    names = ("torch", "onnxruntime", "onnxscript", "FrEIA", "normflows")
    return f"With {', '.join(f'{name} {version(name)}' for name in names)}, commit {short_commit(git_commit() or '')}."


if __name__ == "__main__":
    main()
