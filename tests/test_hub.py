"""Models on a hub: fetched with their revisions, kept in the cache, and refused in one line if they are not sound."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from pie_cli import load_model
from pie_cli.errors import PIEError, UsageError
from pie_cli.models.base import Autoencoder
from pie_cli.runs.folder import SHARED_WEIGHTS
from pie_cli.share.export import export
from tests import commands, damage, made_up
from tests.hub_server import Hub, serving

constants = pytest.importorskip("huggingface_hub.constants", reason="the extra hub is not installed")

NAME = "hf://someone/small-pie"


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two exported runs, with different weights."""
    place = tmp_path_factory.mktemp("exported")
    for number in (1, 2):
        run = made_up.run(place / f"run{number}", latent_dim=number)
        export(run, "hub", place / f"hub{number}")
    return [place / "hub1", place / "hub2"]


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def hub(folders: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that has the first as v1, and the second as main; the cache is empty."""
    with serving() as hub:
        hub.push("someone/small-pie", files(folders[0]), "v1")
        hub.push("someone/small-pie", files(folders[1]), "main")
        template = f"{hub.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        for name, value in (("ENDPOINT", hub.address), ("HUGGINGFACE_CO_URL_TEMPLATE", template)):
            monkeypatch.setattr(constants, name, value)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        yield hub


def same(one: Autoencoder, other: Autoencoder) -> bool:
    state = other.state_dict()
    return all(torch.equal(tensor, state[name]) for name, tensor in one.state_dict().items())


def test_a_folder_a_revision_and_the_main_branch(hub: Hub, folders: list[Path]) -> None:
    first, second = map(load_model, folders)
    assert (first.latent_dim, second.latent_dim) == (1, 2)
    assert same(load_model(NAME), second)
    assert same(load_model(f"{NAME}@v1"), first)
    assert same(load_model(f"{NAME}@{hub.revisions['someone/small-pie']['main']}"), second)


def test_the_card_is_one_and_its_code_runs(hub: Hub, folders: list[Path]) -> None:
    text = (folders[1] / "README.md").read_text(encoding="utf-8")
    read = pytest.importorskip("huggingface_hub").ModelCard(text).data
    assert (read.library_name, read.pipeline_tag) == ("pseudo-invertible-encoder", "unconditional-image-generation")
    found: dict[str, Any] = {}
    exec(text.split("```python\n")[1].split("```")[0].replace("owner/name", "someone/small-pie"), found)
    torch.testing.assert_close(found["exact"], found["images"], atol=1e-4, rtol=0)


def test_what_is_in_the_cache_is_not_fetched_again(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(NAME)
    hub.asked.clear()
    assert same(load_model(NAME), model)
    assert hub.asked == ["HEAD config.json"]  # whether the branch has moved
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    hub.asked.clear()
    assert same(load_model(NAME), model)
    with pytest.raises(PIEError, match=r"hf://someone/small-pie@v1 is not in the cache, and HF_HUB_OFFLINE forbids"):
        load_model(f"{NAME}@v1")
    assert hub.asked == []


def test_the_weights_are_of_the_commit_of_the_configuration(
    hub: Hub, folders: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Even if another commit is pushed between the two files."""
    library = pytest.importorskip("huggingface_hub")
    fetch: Callable[..., str] = library.hf_hub_download

    def pushing(*arguments: str, **more: object) -> str:
        path = fetch(*arguments, **more)
        hub.push("someone/small-pie", files(folders[0]), "main")
        return path

    monkeypatch.setattr(library, "hf_hub_download", pushing)
    assert load_model(NAME).latent_dim == 2
    assert load_model(NAME).latent_dim == 1


@pytest.mark.parametrize(
    ("place", "kind", "words"),
    [
        ("hf://someone/else", PIEError, "hf://someone/else does not exist or is private"),
        (f"{NAME}@v9", PIEError, "hf://someone/small-pie has no revision v9"),
        ("hf://someone/bert", PIEError, "config.json cannot be understood"),
        ("hf://someone/empty", PIEError, "hf://someone/empty has no config.json, so it is no model of this program"),
        ("hf://someone/config", PIEError, f"hf://someone/config has no {SHARED_WEIGHTS}"),
        ("hf://someone", UsageError, "hf://someone is not a model: write hf://owner/name or hf://owner/name@revision"),
        ("hf://", UsageError, "is not a model: write"),
        (f"{NAME}@", UsageError, "is not a model: write"),
        ("hf://some..one/-x", UsageError, "its name is not one that the Hub allows"),
    ],
)
def test_what_cannot_be_loaded(place: str, kind: type[PIEError], words: str, hub: Hub, folders: list[Path]) -> None:
    hub.push("someone/bert", {"config.json": b'{"model_type": "bert"}', SHARED_WEIGHTS: b""}, "main")
    hub.push("someone/empty", {"README.md": b""}, "main")
    hub.push("someone/config", {"config.json": (folders[0] / "config.json").read_bytes()}, "main")
    with pytest.raises(kind, match=words.replace(".", r"\.")) as raised:
        load_model(place)
    assert type(raised.value) is kind
    assert "\n" not in str(raised.value)
    assert f"GET {SHARED_WEIGHTS}" not in hub.asked


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "huggingface_hub", None)
    with pytest.raises(UsageError, match=r"needs the extra: pip install 'pseudo-invertible-encoder\[hub\]'"):
        load_model(NAME)


@pytest.mark.parametrize("harm", [damage.flip, damage.cut, damage.foreign, damage.pickled, damage.infinite])
def test_weights_that_are_damaged(harm: Callable[[Path], None], hub: Hub, folders: list[Path], tmp_path: Path) -> None:
    """In the repository they stay so; in the cache, the advice helps."""
    shutil.copytree(folders[1], tmp_path / "copy")
    harm(tmp_path / "copy" / SHARED_WEIGHTS)
    hub.push("someone/damaged", files(tmp_path / "copy"), "main")
    with pytest.raises(PIEError, match=r"hf://someone/damaged is not a sound model of this program: .* tell its owner"):
        load_model("hf://someone/damaged")
    model, cache = load_model(NAME), tmp_path / "cache" / "models--someone--small-pie"
    (weights,) = cache.glob(f"snapshots/*/{SHARED_WEIGHTS}")
    harm(weights.resolve())
    with pytest.raises(PIEError, match=f"remove {cache} to fetch it again"):
        load_model(NAME)
    shutil.rmtree(cache)
    assert same(load_model(NAME), model)


def test_commands_take_the_name(hub: Hub, tmp_path: Path) -> None:
    """As a user does, with the variables of huggingface_hub; figures lie beside one's own runs, not in the cache."""
    surroundings = {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "home")}

    def pie(*words: object, **more: str) -> commands.Done:
        return commands.start(*words, cwd=tmp_path, environment={**surroundings, **more}).wait()

    done = pie("sample", NAME, "--count", 4, "--offline")
    assert (done.code, done.stdout) == (1, "")
    assert (
        done.stderr == f"error: {NAME} is not in the cache, and --offline forbids fetching it; fetch it once without\n"
    )
    done = pie("sample", f"{NAME}@v1", "--count", 4, "--format", "png")
    assert (done.code, done.stderr) == (0, "")
    folder = tmp_path / "results" / "someone--small-pie--v1" / "figures" / "samples_4_variance1_seed0"
    assert sorted(path.name for path in folder.iterdir()) == ["0.png", "1.png", "2.png", "3.png"]
    done = pie("export", f"{NAME}@v1", "--to", "hub", "-o", "again", "--offline")
    assert (done.code, done.stderr) == (0, "")
    assert (
        files(tmp_path / "again")[SHARED_WEIGHTS]
        == hub.commits["someone/small-pie"][hub.revisions["someone/small-pie"]["v1"]][SHARED_WEIGHTS]
    )


def test_nobody_answers(hub: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        pytest.importorskip("huggingface_hub.file_download"), "_DEFAULT_RETRY_ON_EXCEPTIONS", (), raising=False
    )
    template = "http://127.0.0.1:9/{repo_id}/resolve/{revision}/{filename}"
    for name, value in (("ENDPOINT", "http://127.0.0.1:9"), ("HUGGINGFACE_CO_URL_TEMPLATE", template)):
        monkeypatch.setattr(constants, name, value)
    with pytest.raises(PIEError, match=r"cannot fetch hf://someone/small-pie: .*refused.*; try again"):
        load_model(NAME)
