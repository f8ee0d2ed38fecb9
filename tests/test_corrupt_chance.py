"""Random damage to a run's files, and random files: they are refused, or loaded as they were."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pie_cli.errors import PIEError
from pie_cli.evaluation import cache
from pie_cli.io.tensors import load_tensors
from pie_cli.metrics import classifier
from pie_cli.runs.folder import Run
from tests.damage import copied, flip, said, state_of
from tests.test_training import same, small_run

SEED = 20211100619
COPIES = 400  # damaged copies of each file


def damaged(content: bytes, chance: random.Random) -> bytes:
    """Return a copy that has one to three bits flipped, or is cut, or has a part missing or doubled."""
    copy = bytearray(content)
    kind = chance.random()
    if kind < 0.7:
        for _ in range(chance.randint(1, 3)):
            # Half of them where the header is.
            end = len(copy) if chance.random() < 0.5 else min(len(copy), 4096)
            copy[chance.randrange(end)] ^= 1 << chance.randrange(8)
    elif kind < 0.85:
        del copy[chance.randrange(len(copy)) :]
    else:
        start, end = sorted(chance.randrange(len(copy)) for _ in range(2))
        part = bytes(copy[start:end])
        copy[start:end] = part * 2 if kind > 0.93 else b""
    return bytes(copy)


@pytest.mark.parametrize("copies", [COPIES, pytest.param(10 * COPIES, marks=pytest.mark.slow)])
def test_no_damaged_weights_are_loaded(copies: int, whole: Run, tmp_path: Path) -> None:
    run, chance = copied(whole, tmp_path), random.Random(SEED)
    content, good, refused = run.weights.read_bytes(), whole.load_model().state_dict(), 0
    for _ in range(copies):
        run.weights.write_bytes(damaged(content, chance))
        try:
            assert same(run.load_model().state_dict(), good)
        except PIEError as error:
            said(str(error), run.weights)
            refused += 1
    assert refused > 0.9 * copies


@pytest.mark.parametrize("copies", [COPIES, pytest.param(10 * COPIES, marks=pytest.mark.slow)])
def test_no_damaged_checkpoint_is_loaded(copies: int, interrupted: Run, tmp_path: Path) -> None:
    run, chance = copied(interrupted, tmp_path), random.Random(SEED + 1)
    run.previous_checkpoint.unlink()
    content, state, refused = run.checkpoint.read_bytes(), state_of(run), 0
    tensors, metadata = load_tensors(run.checkpoint)
    for _ in range(copies):
        run.checkpoint.write_bytes(damaged(content, chance))
        try:
            loaded = run.load_checkpoint(state.check, print)
            assert loaded is not None
            assert same(loaded[0], tensors)
            assert loaded[1] == metadata
        except PIEError as error:
            said(str(error), run.checkpoint)
            refused += 1
    assert refused > 0.9 * copies


@pytest.mark.parametrize("copies", [COPIES, pytest.param(10 * COPIES, marks=pytest.mark.slow)])
def test_no_damaged_configuration_is_used(copies: int, whole: Run, tmp_path: Path) -> None:
    run, chance = copied(whole, tmp_path), random.Random(SEED + 2)
    path, refused = run.folder / "config.json", 0
    content, good = path.read_bytes(), whole.load_model().state_dict()
    for _ in range(2 * copies):
        path.write_bytes(damaged(content, chance))
        try:
            opened = Run.open(run.folder)
            model = opened.load_model()
            assert opened.config == whole.config
            assert same(model.state_dict(), good)
        except PIEError as error:
            said(str(error), path)
            refused += 1
    assert refused > 0.7 * 2 * copies


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def safetensors_like(header: Any, body: bytes, length: int) -> bytes:
    """Return bytes that begin like a safetensors file, with a length that may be wrong."""
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text) + length) + text + body


DESCRIPTION = st.fixed_dictionaries(
    {
        "dtype": st.sampled_from(["F32", "F16", "I64", "U8", "BOOL", "F64", "BF16", "F8_E4M3", "C64", "F4", "X"]),
        "shape": st.lists(st.integers(0, 3) | st.just(2**63), max_size=3),
        "data_offsets": st.lists(st.integers(0, 64), min_size=2, max_size=2),
    }
)
OURS = st.builds(
    lambda sha, metadata: {"pie": json.dumps({"sha256": sha, "metadata": json.dumps(metadata)})}, st.text(), JSON
)
HEADER = st.dictionaries(st.text(max_size=3), DESCRIPTION | JSON, max_size=3) | JSON
TENSORS = st.dictionaries(st.text(max_size=3), DESCRIPTION, max_size=2)
WITH_METADATA = st.builds(lambda header, ours: {**header, "__metadata__": ours}, TENSORS, OURS | JSON)
CONTENT = (
    st.binary(max_size=200)
    | st.builds(safetensors_like, HEADER | WITH_METADATA, st.binary(max_size=64), st.integers(0, 3))
    | JSON.map(lambda value: json.dumps(value).encode())
)


@settings(max_examples=300, deadline=None)
@given(content=CONTENT)
def test_no_loader_takes_random_bytes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp() / "random"
    folder.mkdir(exist_ok=True)
    run = small_run(folder, "vae")
    for name in ("weights.safetensors", "checkpoint.safetensors", "config.json", "provenance.json", "metrics.csv"):
        (folder / name).write_bytes(content)
    for name in ("evaluation.json", "evaluation.npz", "classifier-digits.safetensors"):
        (folder / name).write_bytes(content)
    loaders: list[Callable[[], object]] = [run.load_model, lambda: Run.open(folder)]
    loaders.append(lambda: run.load_checkpoint(lambda tensors, metadata: None, print))
    for load in loaders:
        with pytest.raises(PIEError) as error:
            load()
        said(str(error.value), folder)
    assert cache.kept(folder / "evaluation.json", "key") is None
    assert 0 <= run.epochs_done <= 3
    small = classifier.Classifier((1, 8, 8), 2)
    assert "damaged" in classifier._restore(small, folder / "classifier-digits.safetensors", {})
    try:
        assert isinstance(run.provenance, dict)
    except PIEError as refusal:
        said(str(refusal), folder / "provenance.json")


def test_the_hash_covers_weights_and_the_whole_configuration(whole: Run, interrupted: Run, tmp_path: Path) -> None:
    """Metadata and tensors, in weights and in checkpoints."""
    for path in (whole.weights, interrupted.checkpoint):
        content = path.read_bytes()
        end = 8 + int.from_bytes(content[:8], "little")
        start = content.index(b"metadata", content.index(b"sha256")) + len(b'metadata\\":\\"')
        stop = content.index(b'"}', start)
        chance = random.Random(SEED)
        copy = tmp_path / path.name
        ranges = ((start, stop), (end, len(content)))
        for place in (chance.randrange(*where) for where in ranges for _ in range(50)):
            copy.write_bytes(content)
            flip(copy, place)
            with pytest.raises(PIEError, match="damaged"):
                load_tensors(copy)
