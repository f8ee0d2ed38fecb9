"""The page of a run, without a browser: what is in it, how large it is, what happens to bad input."""

from __future__ import annotations

import base64
import json
import math
import os
import re
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load

from pie_cli import VAE, VAEConfig, save_model
from pie_cli.data.base import Dataset
from pie_cli.evaluation import cache
from pie_cli.paper.report import results_report
from pie_cli.runs.find import SHOWCASE
from pie_cli.runs.folder import Run
from pie_cli.share import page_data, page_weights
from pie_cli.share.page import PAGE, page_of, write_page
from pie_cli.share.page_facts import chart_of
from pie_cli.share.page_html import MODEL_SCRIPTS, WEB, script_of
from pie_cli.share.page_markdown import as_html
from tests import commands, made_up
from tests.conftest import Call, small_pie
from tests.test_failing_files import assert_one_line, full_at

STRANGE = ("</script><script>pwned=1</script>", "数字", "أرقام")


class Seen(HTMLParser):
    """The elements of a page: their tags, attributes, and the text of scripts by id."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.scripts: dict[str, str] = {}
        self._inside: str | None = None
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        self._inside = dict(attrs).get("id") or "main" if tag == "script" else None

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.scripts[self._inside] = self.scripts.get(self._inside, "") + data

    def handle_endtag(self, tag: str) -> None:
        self._inside = None

    def all(self, name: str) -> set[str]:
        """Return the values of an attribute."""
        return {value or "" for attribute, value in self.attributes if attribute == name}

    def tensors(self, name: str) -> dict[str, torch.Tensor]:
        return load(base64.b64decode(self.scripts[name]))


@pytest.fixture(autouse=True)
def _no_umap(monkeypatch: pytest.MonkeyPatch) -> None:
    """A plane at once, instead of seconds of UMAP."""
    monkeypatch.setattr(page_data, "umap_plane", lambda codes, seed: codes[:, :2])


def seen(run: Run, dataset: Dataset, count: int | None = None) -> Seen:
    return Seen(page_of(run, dataset, page_data.show(run.load_model(), dataset, count)))


def test_the_shipped_run_has_a_page_of_its_own_below_25_mb(digits: Dataset, tmp_path: Path) -> None:
    """With as many pictures as there may be: these are what the digits leave out of MNIST's."""
    path = write_page(Run.open(SHOWCASE), digits, "cpu", tmp_path / "page.html")
    assert path.stat().st_size + page_data.PICTURES * 4 / 3 < 25e6
    page = Seen(path.read_text(encoding="utf-8"))
    assert page.tags.count("script") == 4  # what it is about, data, weights, and one script
    assert page.all("src") == set()
    assert all(link.startswith("#") for link in page.all("href"))
    used = set(re.findall(r'(?:byId|taken)\("([a-z-]+)"\)', page.scripts["main"]))
    assert used <= page.all("id")
    weights = page.tensors("weights")
    assert {weights[name].dtype for name in weights if name.endswith("weight")} == {torch.float16}
    assert weights["blocks.2.bijections.1.q"].dtype == torch.float32
    assert {"coding.steps", "coding.classes", "coding.frequencies"} <= set(page.tensors("data"))


def test_the_script_has_every_module_after_those_that_it_imports() -> None:
    modules = [path.stem for path in WEB.glob("*.js")]
    assert sorted(MODEL_SCRIPTS) == sorted(modules)
    for at, name in enumerate(MODEL_SCRIPTS):
        text = (WEB / f"{name}.js").read_text(encoding="utf-8")
        assert set(re.findall(r'from "\./(\w+)\.js"', text)) <= set(MODEL_SCRIPTS[:at])
    assert not re.search(r"^(import|export) ", script_of(MODEL_SCRIPTS), re.MULTILINE)


SEEN = {  # linear RGB to what eyes without one kind of cones see of it (Machado et al. 2009, severity 1)
    "all": [[1, 0, 0], [0, 1, 0], [0, 0, 1]],
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
LMS = [
    [0.4122, 0.5363, 0.0514],
    [0.2119, 0.6807, 0.1074],
    [0.0883, 0.2817, 0.63],
]  # linear RGB to OKLab (Ottosson 2020)
LAB = [[0.2105, 0.7936, -0.0041], [1.978, -2.4286, 0.4506], [0.0259, 0.7828, -0.8087]]


@pytest.mark.parametrize("eyes", SEEN)
@pytest.mark.parametrize("scheme", ["LIGHT", "DARK"])
def test_the_colours_of_classes_differ_for_all_eyes(scheme: str, eyes: str) -> None:
    line = re.search(rf"const {scheme} = (.*);", (WEB / "colours.js").read_text(encoding="utf-8"))
    assert line
    rgb = torch.tensor([[int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)] for colour in json.loads(line[1])])
    linear = torch.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = (linear @ torch.tensor(SEEN[eyes], dtype=torch.float32).T).clamp(0, 1)
    lab = (seen @ torch.tensor(LMS).T) ** (1 / 3) @ torch.tensor(LAB).T
    assert torch.pdist(lab).min() > 0.11


def test_names_are_text(tmp_path: Path) -> None:
    page = seen(made_up.run(tmp_path / "run"), made_up.dataset(classes=STRANGE))
    assert page.tags.count("script") == 4
    assert json.loads(page.scripts["about"])["classes"] == list(STRANGE)


def test_the_pictures_are_the_test_images_in_their_order(tmp_path: Path) -> None:
    import zlib

    dataset = made_up.dataset(shape=(3, 8, 8), classes=("a", "b"))
    data = seen(made_up.run(tmp_path / "run", shape=(3, 8, 8)), dataset, count=9).tensors("data")
    indices = data["indices"].long()
    assert indices.tolist() == sorted(set(indices.tolist()))
    pixels = np.frombuffer(zlib.decompress(data["pictures"].numpy().tobytes()), np.uint8)
    assert np.array_equal(pixels.reshape(9, 3, 8, 8), dataset.test.images[indices].numpy())
    assert torch.equal(data["labels"].long(), dataset.test.labels[indices])  # type: ignore[index]


def test_there_are_as_many_images_as_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run, dataset = made_up.run(tmp_path / "run"), made_up.dataset()
    model = run.load_model()
    assert len(page_data.show(model, dataset).images) == 40
    monkeypatch.setattr(page_data, "PICTURES", 10 * page_data.bytes_of_one(dataset.test))
    assert len(page_data.show(model, dataset).images) == 10


def test_what_half_precision_would_spoil_stays_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    model, images = small_pie(), made_up.dataset().test.images
    for tolerated, expected in ((1.0, {torch.float16}), (0.0, {torch.float32})):
        monkeypatch.setattr(page_weights, "TOLERATED", tolerated)
        packed = load(page_weights.packed_weights(model, images))
        assert {packed[name].dtype for name, _ in model.named_parameters()} == expected
    some = page_weights.halved(model, small=100)
    assert some["blocks.0.bijections.1.vectors"].dtype == torch.float32
    assert torch.float16 in {tensor.dtype for tensor in some.values()}
    assert page_weights.change_by(model, some, images) < page_weights.change_by(
        model, page_weights.halved(model, 0), images
    )


def test_an_evaluation_of_these_weights_is_shown_and_none_of_others(tmp_path: Path) -> None:
    run, dataset = made_up.run(tmp_path / "run"), made_up.dataset(classes=("a", "b"))
    nothing = np.zeros(2, np.float32)
    numbers = {"knn_accuracy": 0.625, "nll": float("nan")}
    evaluation = cache.Evaluation(numbers, {}, nothing, nothing, {})
    cache.keep(run.folder / "evaluation.json", f"{cache.key_of(run, dataset, cache.Panel([]))}", evaluation)
    shown = page_data.show(run.load_model(), dataset)
    assert '<th scope="row">5-NN accuracy of z</th><td>0.625</td>' in page_of(run, dataset, shown)
    cache.keep(run.folder / "evaluation.json", "6 another run's", evaluation)
    assert "5-NN accuracy" not in page_of(run, dataset, shown)


def test_a_vae_has_no_levels(tmp_path: Path) -> None:
    save_model(VAE(VAEConfig(image_shape=(1, 8, 8), latent_dim=3, width=4)), tmp_path / "vae")
    page = seen(Run.open(tmp_path / "vae"), made_up.dataset())
    assert "levels" not in page.all("id")
    assert "labels" not in page.tensors("data")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a run whose training is made up, and a page of it that is written at once."""
    run = made_up.run(tmp_path / RUN, shape=(1, 28, 28))
    rows = "epoch,train_loss,val_loss,val_mse\n1,2.0,1.5,0.1\n2,1.0,nan,0.05\n"
    (run.folder / "metrics.csv").write_text(rows, encoding="utf-8")
    return tmp_path


RUN = "results/run"
PAGE_OF_RUN = ("page", RUN, "--dataset", "digits", "--count", 3)  # of three codes UMAP makes no plane


def test_the_command_writes_into_the_figures_or_where_it_is_told(place: Path) -> None:
    for output, path in (((), f"{RUN}/figures/{PAGE}"), (("-o", "mine.html"), "mine.html")):
        done = commands.run(*PAGE_OF_RUN, *output, cwd=place)
        assert done.code == 0, done.stderr
        assert f"wrote {path}" in done.stdout
        page = Seen((place / path).read_text(encoding="utf-8"))
        assert json.loads(page.scripts["about"])["count"] == 3
        assert page.tags.count("polyline") == 3  # the learning curve


def test_bad_input_is_one_line_and_leaves_nothing(place: Path) -> None:
    page = (*PAGE_OF_RUN, "-o")
    no_folder = commands.run(*page, "none/page.html", cwd=place)
    assert (no_folder.code, no_folder.stderr.count("\n")) == (2, 1)
    assert "choose another file with --output" in no_folder.stderr
    full = commands.run(*page, "page.html", cwd=place, before=partial(full_at, 10_000))
    assert_one_line(full, "cannot write page.html", "free some space or choose another folder with --output")
    for rows in ("epoch\nx\n", f"epoch,val_mse\n1,{'9' * 400}\n", "epoch,val_mse\n1,2,3\n"):
        (place / RUN / "metrics.csv").write_text(rows)
        assert_one_line(commands.run(*page, "page.html", cwd=place), "metrics.csv cannot be understood")
    (place / RUN / "metrics.csv").unlink()
    for seconds in (10**400, -5, "NaN"):
        (place / RUN / "provenance.json").write_text(f'{{"wall_seconds": {seconds}}}')
        assert_one_line(commands.run(*page, "page.html", cwd=place), "provenance.json cannot be understood")
    (place / RUN / "provenance.json").unlink()
    weights = place / RUN / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    assert_one_line(commands.run(*page, "page.html", cwd=place), "weights.safetensors is damaged")
    assert [path.name for path in place.iterdir()] == ["results"]


def test_a_page_replaces_no_pipe_and_follows_a_link(place: Path) -> None:
    os.mkfifo(place / "pipe")
    done = commands.run(*PAGE_OF_RUN, "-o", "pipe", cwd=place)
    assert (done.code, done.stderr) == (2, "error: pipe is no file; choose another file with --output\n")
    (place / "old.html").touch()
    (place / "link.html").symlink_to("old.html")
    assert commands.run(*PAGE_OF_RUN, "-o", "link.html", cwd=place).code == 0
    assert (place / "link.html").is_symlink()
    assert (place / "old.html").stat().st_size > 10_000


@pytest.mark.parametrize("command", ["page run --dataset digits --count 9 -o", "export run --to torch -o"])
def test_a_model_that_has_diverged_is_one_line(command: str, run: Call) -> None:
    own = made_up.run(Path("run"), shape=(1, 28, 28))
    model = own.load_model()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1e30)
    own.save_weights(model)
    code, _, errors = run(f"{command} out.html")
    assert (code, errors.count("\n")) == (1, 1)
    assert "not finite; train it again" in errors
    assert not Path("out.html").exists()


def test_a_chart_has_what_there_is() -> None:
    one = chart_of("loss", {"training": [2.0], "validation": [math.nan]})
    assert one is not None
    assert (one.epochs, len(one.ticks), len(one.lines[0].points)) == (1, 1, 1)
    assert [line.name for line in one.lines] == ["training"]
    assert chart_of("loss", {"training": [math.nan, math.inf, 1e300]}) is None


def test_links_of_the_report_lead_to_folders_of_any_name(tmp_path: Path) -> None:
    run = made_up.run(tmp_path / "ev#il 50% | <b>x")
    run.figures.mkdir()
    (run.figures / PAGE).touch()
    links = Seen(results_report("# Results", [run], tmp_path)).all("href")
    assert {"ev%23il%2050%25%20%7C%20%3Cb%3Ex/figures/page.html"} <= links


def test_markdown_becomes_html_and_text_stays_text() -> None:
    page = as_html(
        "# A\n\n- x: a\\_b \\*c\\* &lt;script&gt; <b>\n\n"
        "| | n |\n|:---|---:|\n| **HOLDS** \\| 1 | 0.5 |\n\n![p](a.png)\n"
    )
    assert "<h1>A</h1>" in page
    assert "<li>x: a_b *c* &lt;script&gt; &lt;b&gt;</li>" in page
    assert '<td><strong>HOLDS</strong> | 1</td><td class="number">0.5</td>' in page
    assert '<img src="a.png" alt="p"' in page
