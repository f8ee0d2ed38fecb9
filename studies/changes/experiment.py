"""What a variant trains, and the ways to change it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from pie_cli.models.base import Autoencoder
from pie_cli.models.config import ModelConfig, PIEConfig
from pie_cli.models.networks import Networks
from pie_cli.models.pie import PIE
from pie_cli.models.registry import build_model
from pie_cli.runs.folder import Run
from pie_cli.training.loop import Parts


@dataclass(frozen=True)
class Experiment:
    """What a variant trains.

    Arguments:
        run: its folder and configuration.
        parts: what its training is put together from.
        pie: the class of a PIE.
        networks: the classes that make a PIE's networks; each may use those after it.
    """

    run: Run
    parts: Parts = field(default_factory=Parts)
    pie: type[PIE] = PIE
    networks: tuple[type[Networks], ...] = ()

    def build(self, config: ModelConfig) -> Autoencoder:
        """Return a fresh model."""
        if not isinstance(config, PIEConfig):
            return build_model(config)
        return self.pie(config, type("Networks", (*self.networks, Networks), {})(config))


Change = Callable[[Experiment], Experiment]


def with_networks(kind: type[Networks]) -> Change:
    """Another class makes a PIE's networks."""
    return lambda experiment: replace(experiment, networks=(kind, *experiment.networks))


def with_parts(**changed: Any) -> Change:
    """The training has other parts."""
    return lambda experiment: replace(experiment, parts=replace(experiment.parts, **changed))


def with_pie(kind: type[PIE]) -> Change:
    """A PIE is of another class."""
    return lambda experiment: replace(experiment, pie=kind)


def with_model(change: Callable[[PIE], object]) -> Change:
    """A fresh PIE is changed."""

    class Changed(PIE):
        def __init__(self, config: PIEConfig, networks: Networks | None = None) -> None:
            super().__init__(config, networks)
            change(self)

    return with_pie(Changed)
