"""The page of a run in Chromium: it computes what torch computes, and everybody can use it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from pie_cli import PIE, RAE, VAE, WAE, PIEConfig, RAEConfig, VAEConfig, WAEConfig, save_model
from pie_cli.data.base import Dataset
from pie_cli.models.base import Autoencoder
from pie_cli.runs.find import SHOWCASE
from pie_cli.runs.folder import Run
from pie_cli.share import page_data
from pie_cli.share.page import write_page
from tests import made_up
from tests.browser import Page, browser, needs_browser
from tests.conftest import randomise
from tests.test_model_page import STRANGE

pytestmark = needs_browser
CLOSE = 0.002  # how far a pixel may be from torch's
SIZES: dict[str, Any] = made_up.SIZES


@pytest.fixture(scope="module")
def window(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    with browser(tmp_path_factory.mktemp("browser")) as page:
        yield page


@pytest.fixture(scope="module")
def shipped(tmp_path_factory: pytest.TempPathFactory, digits: Dataset) -> Iterator[Path]:
    """The page of the shipped run with 100 images, whose places on the map are their first two numbers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_data, "umap_plane", lambda codes, seed: codes[:, :2])
        yield write_page(Run.open(SHOWCASE), digits, "cpu", tmp_path_factory.mktemp("shipped") / "page.html", 100)


@pytest.fixture
def page(window: Page, shipped: Path) -> Iterator[Page]:
    """The page, open; at the end nothing may have been fetched or complained about."""
    window.open(shipped)
    yield window
    assert_silent(window)


def assert_silent(window: Page) -> None:
    window.run("0")  # what it said before has arrived
    assert window.complaints == []
    assert [url for url in window.requests if not url.startswith("file:")] == []


def decoded(window: Page, keeps: list[int]) -> Tensor:
    """Return all images of a page as its script decodes them, from z and so many levels: (images, keeps, values)."""
    images = window.run(f"""Array.from({{length: pie.count}}, (_, i) => {{
        const {{z, residuals}} = pie.model.analyse(pie.sprite.image(i));
        return {keeps}.map(keep => Array.from(pie.model.decode(z, 1, residuals, keep)));
    }})""")
    return torch.tensor(images)


def assert_as_torch(window: Page, model: Autoencoder, images: Tensor) -> None:
    """The script's reconstructions are torch's, with each number of levels."""
    x = images.float() / 255
    levels = len(model.residual_sizes) if isinstance(model, PIE) else 0
    keeps = sorted({0, levels // 2, levels})
    found = decoded(window, keeps)
    for at, keep in enumerate(keeps):
        with torch.no_grad():
            if isinstance(model, PIE):
                z, residuals, _ = model(x)
                expected = model.decode(z, residuals, keep=keep)
            else:
                expected = model.reconstruct(x)
        assert (found[:, at].view_as(expected) - expected).abs().max() < CLOSE


def test_100_reconstructions_of_the_shipped_run_are_torchs(page: Page, digits: Dataset) -> None:
    model = Run.open(SHOWCASE).load_model()
    shown = page_data.show(model, digits, 100)
    assert_as_torch(page, model, shown.images.images)
    batch = page.run("Array.from(pie.model.decode(pie.data.codes.data, pie.count))")
    with torch.no_grad():
        expected = model.decode(shown.codes)
    assert (torch.tensor(batch).view_as(expected) - expected).abs().max() < CLOSE


COLOUR = (3, 64, 64)
MODELS: dict[str, tuple[Autoencoder, tuple[str, ...] | None]] = {
    "colour, 64×64, strange names": (PIE(PIEConfig(image_shape=COLOUR, latent_dim=5, **SIZES)), STRANGE),
    "affine, no g, no labels": (
        PIE(PIEConfig(image_shape=(1, 8, 12), scale="affine", predict_residual=False, latent_dim=3, **SIZES)),
        None,
    ),
    "one number, two channels": (
        PIE(PIEConfig(image_shape=(2, 8, 8), conv_blocks=0, linear_dims=(5,), latent_dim=1, **SIZES)),
        None,
    ),
    "VAE": (VAE(VAEConfig(image_shape=(1, 28, 28), latent_dim=3, width=4)), ("a",) * 1),
    "WAE, colour, 64×64": (WAE(WAEConfig(image_shape=COLOUR, latent_dim=3, width=4)), ("a", "b")),
    "RAE, colour": (
        RAE(RAEConfig(image_shape=(3, 16, 16), latent_dim=20, width=4)),
        tuple("abcdefghijklmnopqrstuvwxyz"),
    ),
}


@pytest.mark.parametrize("name", MODELS)
def test_every_kind_of_run_has_a_page_that_works(
    name: str, window: Page, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random weights in float32, which the page has in half precision; batch norm that has seen something."""
    model, classes = MODELS[name]
    monkeypatch.setattr(page_data, "umap_plane", lambda codes, seed: torch.rand(len(codes), 2))
    dataset = made_up.dataset(model.image_shape, (120, 20, 12), classes)
    randomise(model, 0.1).train()
    model.encode(dataset.train.images.float() / 255)
    model.decode(torch.randn(50, model.latent_dim))
    save_model(model.eval(), tmp_path / "run")
    run = Run.open(tmp_path / "run")
    window.open(write_page(run, dataset, "cpu", tmp_path / "page.html"), width=390, dark=True)
    assert_as_torch(window, run.load_model(), dataset.test.images)
    assert window.run("document.querySelectorAll('#legend button').length") == len(classes or ())
    assert window.run("typeof pwned") == "undefined"
    if classes is STRANGE:
        names = window.run("[...document.querySelectorAll('#legend button')].map(button => button.textContent)")
        assert names == list(STRANGE)
    assert window.run("document.documentElement.scrollWidth") == 390
    window.run("document.getElementById('line-slider').stepUp(); document.getElementById('sample-again').click()")
    assert_silent(window)


@pytest.mark.parametrize("width", [390, 1280])
def test_nothing_is_wider_than_the_window_and_both_schemes_differ(page: Page, width: int) -> None:
    colours = []
    for dark in (False, True):
        page.look(width, 900, dark)
        assert page.run("document.documentElement.scrollWidth") <= width
        colours.append(page.run("getComputedStyle(document.body).backgroundColor"))
    assert colours == ["rgb(251, 250, 247)", "rgb(18, 20, 23)"]


def test_a_slider_changes_the_picture_at_once(page: Page) -> None:
    """Before the event has been handled, so that the next frame has it."""
    for name, picture in (("z-3", "decoded"), ("line-slider", "line-picture"), ("std", "sheet")):
        before, after = page.run(f"""(() => {{
            const slider = document.getElementById("{name}"), found = document.getElementById("{picture}");
            const canvas = found.matches("canvas") ? found : found.querySelector("canvas");
            const before = canvas.toDataURL();
            slider.value = Number(slider.min) + 0.8 * (slider.max - slider.min);
            slider.dispatchEvent(new Event("input"));
            return [before, canvas.toDataURL()];
        }})()""")
        assert before != after


def test_levels_lead_to_the_exact_image(page: Page) -> None:
    page.run("new Promise(done => { const ask = () => pie.jobs.idle ? done() : setTimeout(ask, 20); ask(); })")
    text = page.run("[...document.querySelectorAll('#cards b')].map(found => found.textContent)")
    cards = [[float(number) for number in text[at : at + 4]] for at in range(0, len(text), 4)]
    numbers, errors, sizes, in_file = zip(*cards, strict=True)
    assert numbers == (10, 64, 196, 392, 784)
    assert list(errors) == sorted(errors, reverse=True)
    assert errors[-1] < 1e-10
    assert list(sizes) == sorted(sizes)
    assert all(rounded >= error for rounded, error in zip(in_file, errors, strict=True))
    page.run("document.querySelector('#cards label:last-child').click()")
    assert "784 numbers: exact" in page.run("document.getElementById('level-name').textContent")


def test_the_bytes_are_those_of_a_compressed_file(page: Page, digits: Dataset) -> None:
    pytest.importorskip("constriction", reason="the extra codec is not installed")
    from pie_cli.codec.compress import compress
    from pie_cli.codec.container import Container

    model = Run.open(SHOWCASE).load_model()
    images = page_data.show(model, digits, 100).images.images
    file = Container.parse(compress(model, images, keep=2, lossless=False)).header
    counted = page.run("""(() => {
        const sizes = [pie.model.latentDim, ...[...pie.model.residualSizes].reverse()];
        const coding = pie.coding, sums = [0, 0, 0];
        for (let i = 0; i < pie.count; i++) {
            const {z, residuals} = pie.model.analyse(pie.sprite.image(i)), values = [z, ...[...residuals].reverse()];
            sums.forEach((_, number) => { sums[number] += coding.code(number, values[number], 1).bytes; });
        }
        return sums;
    })()""")
    for found, layer in zip(counted, file.layers, strict=True):
        assert found == pytest.approx(layer.length, rel=0.01, abs=8)


def test_a_click_on_the_map_takes_an_image(page: Page) -> None:
    page.run("document.getElementById('map').scrollIntoView({behavior: 'instant'})")
    x, y = page.run("""(() => {
        const map = document.getElementById("map-canvas").getBoundingClientRect(), view = pie.map.view;
        const [x, y] = view.point(42);
        return [map.left + x, map.top + y];
    })()""")
    page.mouse("Moved", x, y)
    assert page.run("document.getElementById('map-tip').hidden") is False
    page.mouse("Pressed", x, y, held=True)
    page.mouse("Released", x, y)
    nearest = page.run("pie.map.view.nearest(...pie.map.view.point(42), 1, () => true)")
    assert page.run("pie.chosen.index") == nearest
    page.run("for (let i = 0; i < 4; i++) document.getElementById('zoom-in').click()")
    assert page.run("pie.map.view.zoom") > 2  # where points become pictures


def test_two_fingers_zoom_the_map(page: Page) -> None:
    page.look(390, 900, dark=False)
    page.run("document.getElementById('map').scrollIntoView({behavior: 'instant'})")
    left, top, width, height = page.run(
        "(b => [b.left, b.top, b.width, b.height])(document.getElementById('map-canvas').getBoundingClientRect())"
    )
    for kind, apart in [("Start", 20), *[("Move", 20 + 10 * step) for step in range(1, 9)], ("End", None)]:
        middle = left + width / 2, top + height / 2
        fingers = [{"id": side, "x": middle[0] + side * apart, "y": middle[1]} for side in (-1, 1)] if apart else []
        page.call("Input.dispatchTouchEvent", type=f"touch{kind}", touchPoints=fingers)
    page.run("new Promise(requestAnimationFrame)")
    assert page.run("pie.map.view.zoom") > 2
    assert page.run("pie.map.pointers.size") == 0


def test_a_drawing_of_ones_own_is_encoded(page: Page) -> None:
    page.run("document.getElementById('own').scrollIntoView({behavior: 'instant'})")
    code = page.run("document.getElementById('own-code').textContent")
    x, y, side = page.run("(b => [b.left, b.top, b.width])(document.getElementById('board').getBoundingClientRect())")
    page.mouse("Pressed", x + side / 3, y + side / 4, held=True)
    for step in range(1, 6):
        page.mouse("Moved", x + side / 3 + step, y + side * (0.25 + 0.1 * step), held=True)
    page.mouse("Released", x + side / 3 + 5, y + 0.75 * side)
    page.run("new Promise(requestAnimationFrame)")
    page.run("new Promise(requestAnimationFrame)")
    assert page.run("pie.chosen.name") == "your own image"
    assert page.run("document.getElementById('own-code').textContent") != code
    drawn = torch.tensor(page.run("Array.from(pie.chosen.x)")).view(28, 28)
    assert drawn[7:21, 9:11].max() > 0.9
    assert drawn[:, 14:].max() == 0


def test_the_keyboard_and_a_screen_reader_reach_everything(page: Page) -> None:
    reached = list[str]()
    page.run("document.activeElement.blur()")
    for _ in range(120):
        page.press("Tab")
        at = page.run(
            "document.activeElement.id || document.activeElement.getAttribute('aria-label') || "
            "document.activeElement.textContent"
        )
        if reached and at == reached[0]:
            break
        reached.append(at)
    wanted = {f"z-{k}" for k in range(1, 11)} | {"map-canvas", "board", "line-slider", "std", "number", "own-file"}
    wanted |= {"zoom-in", "previous", "any", "z-back", "line-a", "line-other", "sample-again", "own-invert"}
    assert wanted <= set(reached)
    tree = page.call("Accessibility.getFullAXTree")["nodes"]
    controls = {"button", "slider", "checkbox", "radio", "spinbutton", "image", "link", "textbox"}
    nameless = [
        node["role"]["value"]
        for node in tree
        if not node["ignored"] and node["role"]["value"] in controls and not node.get("name", {}).get("value")
    ]
    assert nameless == []


def test_the_map_is_walked_with_arrows(page: Page) -> None:
    page.run("document.getElementById('map-canvas').focus()")
    page.press("ArrowRight")
    spoken = page.run("document.getElementById('spoken').textContent")
    assert spoken.startswith("test image ")
    page.press("Enter")
    assert page.run("pie.chosen.name") == spoken
    assert page.run("pie.chosen.index") != 0
