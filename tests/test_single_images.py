"""`pie sample --format png`: samples as single images, as the metrics of other tools want them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pie_cli.metrics import inference
from tests import made_up
from tests.conftest import Call


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 64, 64)])
def test_samples_as_single_images(shape: tuple[int, int, int], run: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are those of the figure, in the order of their names, over several batches."""
    monkeypatch.setattr(inference, "BATCH", 5)
    own = made_up.run(Path("own"), shape=shape)
    code, printed, errors = run("sample own --format png --count 12 --sample-seed 3 --std 0.5")
    assert (code, errors) == (0, "")
    assert printed.splitlines()[-1] == "wrote own/figures/samples_12_variance0.25_seed3"
    paths = sorted(Path("own/figures/samples_12_variance0.25_seed3").iterdir())
    assert [path.name for path in paths] == [f"{number:02}.png" for number in range(12)]
    _, samples = inference.prior_samples(own.load_model(), 12, 0.5, 3)
    for path, sample in zip(paths, samples, strict=True):
        image = Image.open(path)
        assert image.mode == ("L" if shape[0] == 1 else "RGB")
        pixels = np.asarray(image).reshape(*shape[1:], shape[0])
        assert np.array_equal(pixels, sample.clamp(0, 1).mul(255).round().byte().movedim(0, 2).numpy())
    code, _, errors = run("sample own --format png --count 12 --sample-seed 3 --std 0.5")
    assert (code, errors.count("\n")) == (2, 1)
    assert "exists and is not an empty folder; remove it, or choose another --figures-dir" in errors


def test_samples_of_a_fitted_prior_as_single_images(run: Call) -> None:
    made_up.run(Path("own"), shape=(1, 28, 28))
    code, _, errors = run("sample own --format png --count 3 --prior gaussian --dataset digits")
    assert (code, errors) == (0, "")
    assert len(list(Path("own/figures/samples_3_gaussian_seed0").iterdir())) == 3
