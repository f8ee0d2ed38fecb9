"""The card of a model in a repository: made from what is known of its run, and of nothing else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from pie_cli.config.naming import run_name
from pie_cli.data.base import Preprocessing, shape_text
from pie_cli.data.named import classes_named
from pie_cli.evaluation.cache import known
from pie_cli.evaluation.evaluate import measures_of
from pie_cli.io.provenance import package_version, short_commit
from pie_cli.io.text import duration, few, markdown_text, number, one_line
from pie_cli.models.base import Autoencoder
from pie_cli.models.config import PIEConfig
from pie_cli.models.pie import PIE
from pie_cli.runs.folder import Run
from pie_cli.share.origins import command_of, origin_of

PAPER = "https://arxiv.org/abs/2111.00619"
PACKAGE = "pseudo-invertible-encoder"
KINDS = {"pie": "pseudo-invertible encoder (PIE)", "vae": "VAE", "wae": "WAE", "rae": "RAE"}
# Figures of merit that the front matter has; the table of the card has all.
INDEXED = ("mse", "ssim", "nll", "bits_per_dim", "knn_accuracy", "frechet_distance", "recall")
ELSEWHERE = ("parameters", "training_seconds")  # which the text has


def card(run: Run, model: Autoencoder, licence: str | None) -> str:
    """Return the README.md of a run's repository, made from what is known of the run; `licence` is of the weights."""
    figures = figures_of(run)
    front = json_as_yaml(front_matter(run, figures, licence))
    parts = [f"---\n{front}---\n", f"# {markdown_text(run_name(run.config))}\n", *about(run, model), *use(model)]
    parts += [*data(run), *merit(run, figures), *training(run), *rights(run, licence)]
    return "\n".join(parts)


def figures_of(run: Run) -> dict[str, float]:
    """Return the figures of merit that were measured of a run's weights; none if it was not evaluated."""
    evaluation = known(run)
    return {} if evaluation is None else {name: v for name, v in evaluation.numbers.items() if math.isfinite(v)}


def front_matter(run: Run, figures: Mapping[str, float], licence: str | None) -> dict[str, Any]:
    """Return what the Hub reads of a card."""
    config = run.config
    facts: dict[str, Any] = {"license": licence} if licence else {}
    facts |= {"library_name": PACKAGE, "pipeline_tag": "unconditional-image-generation"}
    facts |= {"tags": [config.model_name, "autoencoder", *["normalizing-flow"] * isinstance(config.model, PIEConfig)]}
    facts |= {"tags": [*facts["tags"], "arxiv:2111.00619"]} if isinstance(config.model, PIEConfig) else {}
    origin = origin_of(config.dataset)
    on_the_hub = origin.on_the_hub if origin else None
    facts |= {"datasets": [on_the_hub]} if on_the_hub else {}
    if figures and config.dataset:
        named = measures_of(classes_of(run))
        metrics = [{"type": one, "name": named[one], "value": figures[one]} for one in INDEXED if one in figures]
        dataset = {"type": on_the_hub or config.dataset, "name": config.dataset, "split": "test"}
        result = {"task": {"type": facts["pipeline_tag"]}, "dataset": dataset, "metrics": metrics}
        facts["model-index"] = [{"name": run_name(config), "results": [result]}]
    return facts


def json_as_yaml(facts: Mapping[str, Any]) -> str:
    """Return a mapping as YAML: a line for each key, and its value as JSON, which YAML reads too.

    Example:
        >>> json_as_yaml({"tags": ["a", 'b: "c"']})
        'tags: ["a", "b: \\\\"c\\\\""]\\n'
    """
    return "".join(f"{key}: {json.dumps(_printable(value), ensure_ascii=False)}\n" for key, value in facts.items())


def _printable(value: Any) -> Any:
    """Return a value with its texts on one line, of characters that YAML takes."""
    if isinstance(value, str):
        return one_line(value)
    if isinstance(value, Mapping):
        return {key: _printable(one) for key, one in value.items()}
    return [_printable(one) for one in value] if isinstance(value, list) else value


def about(run: Run, model: Autoencoder) -> Iterator[str]:
    """Yield what the model is."""
    config = run.config
    parameters = sum(parameter.numel() for parameter in model.parameters())
    kind = f"A {KINDS[config.model_name]} of images of {shape_text(*model.image_shape)}"
    numbers = f"{model.latent_dim} number" + "s" * (model.latent_dim > 1)
    yield f"{kind}, with codes z of {numbers} and {parameters:,} parameters."
    if isinstance(model, PIE):
        eps2 = number(model.config.eps2)
        yield f"It is an invertible network ([arXiv 2111.00619]({PAPER})), with ε₀² = {eps2} in the range [−1, 1]."
        yield "z alone decodes to an approximation, and z with all residuals to the image itself."
    yield ""


def use(model: Autoencoder) -> Iterator[str]:
    """Yield how the model is loaded and called."""
    shape = ", ".join(map(str, model.image_shape))
    yield f"## How to use\n\n```bash\npip install '{PACKAGE}[hub]'\n```\n"
    yield "```python\nimport torch\nfrom pie_cli import load_model\n"
    yield 'model = load_model("hf://owner/name")  # this repository; or the folder that it was downloaded into'
    yield f"images = torch.rand(5, {shape})  # floats in [0, 1]; put your own here"
    yield "z = model.encode(images)\ndecoded = model.decode(z)\nsamples = model.sample(10)"
    if isinstance(model, PIE):
        yield "z, residuals, log_det = model(images)\nexact = model.decode(z, residuals)"
    yield "```\n"
    yield "On the command line, `pie sample hf://owner/name` and the other commands take the same name.\n"


def data(run: Run) -> Iterator[str]:
    """Yield which images the model was trained on. Where one's own lay is nobody's business."""
    config = run.config
    yield "## Data\n"
    if config.dataset is None:
        yield "The model was trained elsewhere; its images are not on record.\n"
        return
    if (own := config.data) is None:
        origin = origin_of(config.dataset)
        name = f"[{config.dataset}]({origin.page})" if origin else config.dataset
        yield f"The training images of {name}, which has terms of its own.\n"
        return
    yield f"Images of its owner's, called {markdown_text(config.dataset)}; SHA-256 `{own.sha256}`."
    if own.classes is None:
        yield "They have no classes."
    else:
        yield f"They have {len(own.classes)} classes: {markdown_text(few(own.classes))}."
    made = {one.name: getattr(own, one.name) for one in fields(Preprocessing)}
    if said := ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in made.items() if value):
        yield f"They were prepared so: {said}."
    yield ""


def classes_of(run: Run) -> tuple[str, ...] | None:
    """Return the names of the classes that a run's measures speak of."""
    config = run.config
    return config.data.classes if config.data else classes_named(config.dataset or "")


def merit(run: Run, figures: Mapping[str, float]) -> Iterator[str]:
    """Yield the figures of merit, or what training has measured where there was no evaluation."""
    yield "## Figures of merit\n"
    if figures:
        length = run.config.training.length if run.config.training else ""
        yield "Of test images, by `pie evaluate`." + f" This is a quick run, of {length}." * run.config.quick
        named = measures_of(classes_of(run))
        yield "\n| | |\n|:---|---:|"
        for name in (one for one in named if one in figures and one not in ELSEWHERE):
            yield f"| {markdown_text(named[name])} | {figures[name]:.4g} |"
        if "frechet_distance" in figures:
            yield "\nFréchet distances are in the features of classifiers of these images, not Inception's."
        yield ""
        return
    errors = [mse for mse in run.history.get("val_mse", []) if math.isfinite(mse)]
    known_error = f" MSE of validation images from z alone: {errors[-1]:.4g}." if errors else ""
    yield f"No evaluation of these weights is on record.{known_error}\n"


def training(run: Run) -> Iterator[str]:
    """Yield how the model was trained, if that is known."""
    if (given := run.config.training) is None:
        return
    yield f"## Training\n\nRecipe {run.config.recipe}, {given.length}, seed {given.seed}:\n"
    yield f"```bash\n{command_of(run.config)}\n```\n"
    facts = run.provenance
    known_facts = [f"version {facts['version']}"] if "version" in facts else []
    known_facts += [f"commit {short_commit(facts['commit'])}"] if isinstance(facts.get("commit"), str) else []
    known_facts += [f"{facts[name]}" for name in ("device", "processor") if facts.get(name)]
    known_facts += [duration(facts["wall_seconds"])] if "wall_seconds" in facts else []
    if known_facts:
        yield f"{markdown_text(', '.join(known_facts))}.\n"


def rights(run: Run, licence: str | None) -> Iterator[str]:
    """Yield the licences, and what the card was made with."""
    yield "## Licence\n"
    said = f"The weights have the licence {licence}." if licence else "No licence of the weights is stated."
    yield f"{said} The program that loads them has the MIT licence. The images are not part of this repository."
    yield f"\n*This card was made from the run's own record by `pie export`, version {package_version()}.*\n"
