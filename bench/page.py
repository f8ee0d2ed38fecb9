"""The page of the shipped run in Chromium: `python -m bench.page` writes bench/PAGE.md."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch

from bench.measure import Spread
from bench.report import machine, table
from bench.run import options_from, run_as_command
from pie_cli.data.load import load_dataset
from pie_cli.io.files import write_text
from pie_cli.models.pie import PIE
from pie_cli.runs.find import SHOWCASE
from pie_cli.runs.folder import Run
from pie_cli.share.page import page_of
from pie_cli.share.page_data import show
from tests.browser import Page, browser

MOVES = 100  # of a slider in a repeat
COMPARED = 100  # images
WINDOW = (1280, 900)
# A move's script, and the time until the frame after it has been painted: a message is handled after the painting.
MOVE = f"""(async () => {{
    const slider = document.getElementById("z-3"), script = [], drawn = [];
    const painted = () => new Promise(done => requestAnimationFrame(() => {{
        const channel = new MessageChannel();
        channel.port1.onmessage = done;
        channel.port2.postMessage(0);
    }}));
    for (let move = 0; move < {MOVES}; move++) {{
        await painted();
        const start = performance.now();
        slider.value = Number(slider.min) + (slider.max - slider.min) * ((7 * move) % {MOVES}) / {MOVES};
        slider.dispatchEvent(new Event("input"));
        script.push(performance.now() - start);
        await painted();
        drawn.push(performance.now() - start);
    }}
    return [script, drawn];
}})()"""
RECONSTRUCTIONS = f"""Array.from({{length: {COMPARED}}}, (_, i) => {{
    const {{z, residuals}} = pie.model.analyse(pie.sprite.image(i));
    return [0, residuals.length].map(keep => Array.from(pie.model.decode(z, 1, residuals, keep)));
}})"""


def differences(page: Page, model: PIE, images: torch.Tensor) -> tuple[float, float]:
    """Return how far a pixel decoded from z is from torch's at most, and one decoded from everything from the image."""
    x = images[:COMPARED].float() / 255
    found = torch.tensor(page.run(RECONSTRUCTIONS))
    with torch.no_grad():
        expected = torch.stack([model.reconstruct(x), x], 1).view_as(found)
    from_z, exact = (found - expected).abs().amax((0, 2)).tolist()
    return from_z, exact


def main() -> None:
    """Measure, and write the page."""
    options = options_from(__doc__, Path("bench/PAGE.md"), repeats=5)
    run, dataset = Run.open(SHOWCASE), load_dataset("mnist")
    model = run.load_model()
    assert isinstance(model, PIE)
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as page:
        shown, path = show(model, dataset), Path(folder) / "page.html"
        write_text(path, page_of(run, dataset, shown))
        page.open(path, *WINDOW)
        version = page.call("Browser.getVersion")["product"]
        from_z, exact = differences(page, model, shown.images.images)
        page.run(MOVE)  # until the script is compiled
        repeats = [page.run(MOVE) for _ in range(options.repeats)]
        script, drawn = (Spread(tuple(ms for repeat in repeats for ms in repeat[at])) for at in range(2))
        rows = [
            ["size, MB", f"{path.stat().st_size / 1e6:.1f}", "25"],
            [f"{COMPARED} images decoded from z: largest difference from torch's", f"{from_z:.1g}", "0.002"],
            ["the same images decoded from z and all levels: from themselves", f"{exact:.1g}", "0.002"],
            ["a slider's move: its script, ms", str(script), ""],
            ["until the frame with the new picture is painted, ms", str(drawn), "30"],
        ]
    text = [
        "# The page of a run, measured",
        f"Written by `{options.command}`. The page is that of the shipped run with MNIST's test images, in {version} "
        f"without a window and without a GPU, {WINDOW[0]} by {WINDOW[1]}. Times are medians with (least–greatest) of "
        f"{options.repeats} times {MOVES} moves. A frame begins 60 times a second, so a picture waits up to 16.7 ms "
        "for its own.",
        machine(options.device),
        table(["", "measured", "must: at most"], rows),
    ]
    write_text(options.output, "\n\n".join(text) + "\n")


if __name__ == "__main__":
    run_as_command(main)
