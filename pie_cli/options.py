"""The options of the command line: those that several commands share, and those of training."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

import typer

from pie_cli import paper

TRAINING, MODEL, FILES = "Training", "Model", "Data, files, device"
LARGEST_SEED = 2**31 - 1
LARGEST_SHEET = 1_000  # rows of images; more make no picture


def given(context: typer.Context, name: str) -> bool:
    """Return whether a parameter stands on the command line, rather than having its default."""
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"


def _path(text: str) -> Path:
    if not str(text):
        raise ValueError("it is empty; an unset variable of the shell?")
    return Path(text)


def _folder(text: str) -> Path:
    if os.path.isfile(text):
        raise ValueError(f"{text} is a file; give a folder")
    return _path(text)


ModelOption = Annotated[Literal["pie", "vae", "wae"], typer.Option("--model", help="Model.", rich_help_panel=MODEL)]
Eps2Option = Annotated[
    float | None,
    typer.Option(
        "--eps2",
        help="ε₀² of PIE: the residuals' [bold]variance[/], for images in [-1, 1]; ε₀ is its square root "
        "(0.01 means ε₀ = 0.1).",
        show_default="0.01",
        rich_help_panel=MODEL,
    ),
]
LatentDimOption = Annotated[int, typer.Option("--latent-dim", help="d, the size of z.", min=1, rich_help_panel=MODEL)]
SeedOption = Annotated[
    int, typer.Option("--seed", help="Seed of the training: weights, order, noise.", min=0, rich_help_panel=TRAINING)
]
DatasetOption = Annotated[
    Literal["mnist", "digits"],
    typer.Option("--dataset", help="mnist, or digits (1,797 of scikit-learn's, no download).", rich_help_panel=FILES),
]
DataDirOption = Annotated[
    Path | None,
    typer.Option(
        "--data-dir", help="Folder with MNIST's files, or to download them into.", show_default="the cache folder",
        parser=_folder, metavar="FOLDER", rich_help_panel=FILES,
    ),
]  # fmt: skip
OfflineOption = Annotated[bool, typer.Option("--offline", help="Open no connection.", rich_help_panel=FILES)]
ResultsOption = Annotated[
    Path,
    typer.Option("--results-dir", help="Folder of the runs.", parser=_folder, metavar="FOLDER", rich_help_panel=FILES),
]
DeviceOption = Annotated[
    Literal["auto", "cuda", "mps", "cpu"],
    typer.Option("--device", help="auto takes cuda, then mps, then cpu.", rich_help_panel=FILES),
]
DevicesOption = Annotated[
    int | None,
    typer.Option(
        "--devices",
        help="Processes on each node, one a GPU; --batch-size is divided among all.",
        min=1,
        show_default="1, or as torchrun or srun started them",
        rich_help_panel=FILES,
    ),
]
NumNodesOption = Annotated[
    int | None,
    typer.Option(
        "--num-nodes", help="Machines, each running this command.", min=1,
        show_default="1, or as torchrun or srun started them", rich_help_panel=FILES,
    ),
]  # fmt: skip
CompileOption = Annotated[
    bool,
    typer.Option("--compile", help="Use torch.compile; the first step takes a minute or two.", rich_help_panel=FILES),
]
RecomputeOption = Annotated[
    bool,
    typer.Option(
        "--recompute",
        help="Store no activations of PIE but recompute them from its outputs: less memory, slower.",
        rich_help_panel=FILES,
    ),
]
RunArgument = Annotated[
    Path | None,
    typer.Argument(
        metavar="[RUN]",
        help="Run folder; without it, the options choose the run.",
        parser=_path,
        show_default=False,
    ),
]
RunsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[RUN]...",
        help="Run folders; without any, all finished runs in --results-dir.",
        parser=_path,
        show_default=False,
    ),
]
CountOption = Annotated[
    int, typer.Option("--count", min=1, max=10 * LARGEST_SHEET, help="Number of samples; Fig. 9 is a sheet of 400.")
]
ShownOption = Annotated[
    int | None,
    typer.Option(
        "--count", min=1, max=5 * LARGEST_SHEET, help="Test images to show.", show_default=str(paper.RECONSTRUCTIONS)
    ),
]
RowsOption = Annotated[
    int | None,
    typer.Option(
        "--rows",
        min=1,
        max=LARGEST_SHEET,
        help="Pairs of test images; Fig. 8 has many.",
        show_default=str(paper.INTERPOLATIONS),
    ),
]
ProfileOption = Annotated[
    Literal["quick", "paper"],
    typer.Option(
        "--profile",
        help=f"quick: {paper.PROFILE_EPOCHS['quick']} epoch a run, in a folder quick/ of its own, marked quick; "
        f"paper: {paper.PROFILE_EPOCHS['paper']} epochs.",
    ),
]
JobsOption = Annotated[
    int | None,
    typer.Option(
        "--jobs",
        min=1,
        help="Runs trained at a time, on a CPU with one thread each.",
        show_default="one a CPU core, or one on a GPU",
    ),
]

PriorOption = Annotated[
    Literal["normal", "gaussian", "fitted"],
    typer.Option(
        "--prior",
        help="The paper's N(0, I); or, fitted to the training images' z afterwards, a mixture of ten Gaussians "
        "(fitted) or a single one (gaussian).",
    ),
]

EpochsOption = Annotated[
    int, typer.Option(min=1, max=1_000_000, help="Passes over the training images.", rich_help_panel=TRAINING)
]
BatchSizeOption = Annotated[
    int, typer.Option(min=1, help="Images in a step, of all devices.", rich_help_panel=TRAINING)
]
LrOption = Annotated[
    float | None,
    typer.Option(
        help="Peak of the one-cycle learning rate.",
        show_default=", ".join(f"{rate} for {name}" for name, rate in paper.LEARNING_RATES.items()),
        rich_help_panel=TRAINING,
    ),
]
PrecisionOption = Annotated[
    Literal["32-true", "bf16-mixed"],
    typer.Option(help="float32, or with the networks in bfloat16.", rich_help_panel=TRAINING),
]
GradClipOption = Annotated[
    float | None,
    typer.Option(help="Bound on the gradient's norm.", show_default="1", rich_help_panel=TRAINING),
]
ScaleOption = Annotated[
    Literal["contractive", "additive", "affine"] | None,
    typer.Option(
        help="How PIE's couplings scale: contractive s = 1 - a + a·sigmoid(t + 2), additive s = 1, or affine, "
        "free to expand (for the ablation: it learns little).",
        show_default="contractive",
        rich_help_panel=MODEL,
    ),
]
ContractionOption = Annotated[
    float | None,
    typer.Option(
        help="a of the contractive scale, in [0, 1], in the convolutional blocks.",
        show_default="0.5",
        rich_help_panel=MODEL,
    ),
]
LinearContractionOption = Annotated[
    float | None,
    typer.Option(
        help="The same in the linear blocks; 0: they preserve volume.", show_default="0", rich_help_panel=MODEL
    ),
]
CouplingsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100,
        help="K_l, rotations and couplings in a block of PIE.",
        show_default="3",
        rich_help_panel=MODEL,
    ),
]
ConvWidthOption = Annotated[
    int | None,
    typer.Option(
        min=1, max=10_000, help="Channels of PIE's convolutional s, b, g.", show_default="16", rich_help_panel=MODEL
    ),
]
DenseWidthOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=100_000,
        help="Features of PIE's dense s, b, g in the block that reduces to d; less elsewhere.",
        show_default="512",
        rich_help_panel=MODEL,
    ),
]
DenseDepthOption = Annotated[
    int | None,
    typer.Option(min=1, max=100, help="Hidden layers of the same.", show_default="3", rich_help_panel=MODEL),
]
NoiseOption = Annotated[
    float | None,
    typer.Option(
        help="Variance of the noise on training images, in the units of --eps2.",
        show_default="--eps2 for PIE, 0 for VAE and WAE",
        rich_help_panel=TRAINING,
    ),
]
AnnealOption = Annotated[
    float | None,
    typer.Option(
        help="Share of the steps in which PIE's ε₀² falls from 0.1 to a lower --eps2, and the noise with it.",
        show_default="0.6 for PIE",
        rich_help_panel=TRAINING,
    ),
]
ReconstructionOption = Annotated[
    float | None,
    typer.Option(
        help="Weight of the squared error of decoding from z alone in PIE's loss; outside the paper's loss.",
        show_default="0",
        rich_help_panel=TRAINING,
    ),
]
ReconstructionStartOption = Annotated[
    float | None,
    typer.Option(
        help="The same at the start only: this weight falls to 0 while ε₀² is annealed; then the paper's loss.",
        show_default="0",
        rich_help_panel=TRAINING,
    ),
]
LearnEps2Option = Annotated[
    bool,
    typer.Option("--learn-eps2", help="Train ε₀² too, from --eps2 on; outside the paper.", rich_help_panel=TRAINING),
]
InitOption = Annotated[
    Literal["pca", "random"] | None,
    typer.Option(
        help="Start PIE's rotations from the data's principal axes, or at random.",
        show_default="pca for PIE",
        rich_help_panel=TRAINING,
    ),
]
ResumeOption = Annotated[
    bool,
    typer.Option("--resume", help="Go on with an interrupted run, or start it.", rich_help_panel=FILES),
]
OverwriteOption = Annotated[
    bool, typer.Option("--overwrite", help="Discard the run that exists and train it again.", rich_help_panel=FILES)
]
TensorboardOption = Annotated[
    bool,
    typer.Option("--tensorboard", help="Also log for TensorBoard (extra: tensorboard).", rich_help_panel=FILES),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show the configuration and what would be written; write nothing.")
]
