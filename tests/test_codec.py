"""Compressed files in Python: every image comes back, whatever it is and however the model computes."""

from __future__ import annotations

import copy
import hashlib
import sys
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from pie_cli import PIE, PIEError, compress, decompress, fit_tables, load_showcase
from pie_cli.codec import network
from pie_cli.codec.coder import Damaged, Decoder, Encoder, uniform, whole_frequencies
from pie_cli.codec.container import Container
from pie_cli.codec.levels import analyse
from pie_cli.codec.names import check_names, stored_names
from pie_cli.codec.rounding import cells, decode_doubts, doubt_width, doubts_in, encode_doubts, otherwise
from pie_cli.codec.tables import Tables
from pie_cli.data.base import Dataset
from pie_cli.metrics.images import reconstruction_mse
from pie_cli.models.base import Autoencoder
from tests.conftest import small_pie

pytest.importorskip("constriction", reason="the extra codec is not installed")

Fitted = tuple[PIE, Tables]


def smooth(count: int, channels: int, size: int) -> Tensor:
    """Return images of slopes, in which neighbours are alike."""
    generator = torch.Generator().manual_seed(0)
    start, dy, dx = (torch.randint(-20, 20, (count, channels, 1, 1), generator=generator) for _ in range(3))
    y, x = torch.arange(size)[:, None], torch.arange(size)
    return (128 + start + dy * y + dx * x).clamp(0, 255).byte()


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    """A small PIE of colour images with tables; the program's own has those of grey ones."""
    torch.manual_seed(0)
    model = small_pie(image_shape=(3, 8, 8)).eval()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "PREDICTED_ON", 1)
        patch.setattr(network, "BATCH_VALUES", 2**11)
        return model, fit_tables(model, smooth(16, 3, 8), training_steps=5)


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_all_images_come_back(fitted: Fitted, data: st.DataObject) -> None:
    model, tables = fitted
    channels, count = model.image_shape[0], data.draw(st.integers(1, 4))
    kind = data.draw(st.sampled_from(["noise", "flat", "smooth", "two levels"]))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    images = {
        "noise": generator.integers(0, 256, (count, channels, 8, 8), np.uint8),
        "flat": np.full((count, channels, 8, 8), generator.integers(256), np.uint8),
        "smooth": smooth(count, channels, 8).numpy(),
        "two levels": 255 * generator.integers(0, 2, (count, channels, 8, 8), np.uint8),
    }[kind]
    keep = data.draw(st.integers(0, 4))
    content = compress(model, images, keep, tables=tables)
    assert np.array_equal(decompress(content, model, tables=tables), images)
    header = Container.parse(content).header
    assert header.pixels == hashlib.sha256(images.tobytes()).hexdigest()
    for level in range(keep + 1):
        shown = decompress(content, model, keep=level, tables=tables)
        mse = reconstruction_mse(torch.from_numpy(images) / 255, shown / 255)
        assert header.layers[level].mse == pytest.approx(mse, rel=1e-4, abs=1e-7)


def test_finer_steps_leave_less_error(fitted: Fitted) -> None:
    model, tables = fitted
    images = smooth(16, model.image_shape[0], 8)
    errors = []
    for fineness in range(5):
        content = compress(model, images, lossless=False, fineness=fineness, tables=tables)
        errors.append(Container.parse(content).header.layers[-1].mse)
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] < errors[0] / 4


def one_by_one(model: Autoencoder) -> Autoencoder:
    """Return a model that decodes each image alone."""
    other = copy.deepcopy(model)
    assert isinstance(model, PIE)
    decode = model.decode

    def alone(z: Tensor, residuals: list[Tensor], keep: int) -> Tensor:
        return torch.cat([decode(z[i : i + 1], [r[i : i + 1] for r in residuals], keep) for i in range(len(z))])

    other.decode = alone  # type: ignore[assignment]
    return other


def on_two_threads(model: Autoencoder) -> Autoencoder:
    torch.set_num_threads(2)
    return model


def in_float64(model: Autoencoder) -> Autoencoder:
    return copy.deepcopy(model).double()


def roughly(device: str) -> AbstractContextManager[object]:
    """What a caller may have chosen for a training: products of bfloat16."""
    torch.set_float32_matmul_precision("medium")
    return torch.autocast(device, torch.bfloat16)


def test_what_the_caller_has_chosen_for_a_training_has_no_effect(digits: Dataset) -> None:
    model, images = load_showcase(), digits.test.images[:20]
    try:
        with roughly("cpu"):
            content = compress(model, images, keep=1)
            assert torch.equal(decompress(content, model), images)
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert content == compress(model, images, keep=1)


OTHERWISE = {"float64": in_float64, "alone": one_by_one, "threads": on_two_threads}


@pytest.mark.parametrize("how", OTHERWISE)
def test_pixels_are_exact_however_the_model_computes(how: str, digits: Dataset) -> None:
    model, threads = load_showcase(), torch.get_num_threads()
    images = digits.test.images[:20]
    content = compress(model, images, keep=1)
    try:
        assert torch.equal(decompress(content, OTHERWISE[how](model)), images)
        if how == "float64":
            assert torch.equal(decompress(compress(OTHERWISE[how](model), images, keep=1), model), images)
    finally:
        torch.set_num_threads(threads)


def test_blank_images_do_not_say_how_near_to_a_boundary_others_are_doubtful(digits: Dataset) -> None:
    model = load_showcase()
    assert isinstance(model, PIE)
    images = torch.cat([torch.zeros(64, 1, 28, 28, dtype=torch.uint8), 255 - digits.test.images[:40]])
    values = analyse(model, images.numpy())[:1]
    other = otherwise(model)
    assert doubt_width(model, other, values) > 3 * doubt_width(model, other, [one[:64] for one in values])


def test_images_that_no_other_machine_decodes_alike_are_refused(digits: Dataset) -> None:
    class Rough(PIE):
        def decode(self, z: Tensor, *given: Any, **more: Any) -> Tensor:
            return super().decode(z, *given, **more) + 0.01 * (z.dtype == torch.float32)

    model = load_showcase()
    model.__class__ = Rough
    with pytest.raises(PIEError, match="so no other machine could make them exact"):
        compress(model, digits.test.images[:2], keep=0)


def test_a_decoder_that_rounds_further_off_returns_nothing(digits: Dataset) -> None:
    """The network sees other cells then, and what comes out is not what the header says."""
    model = load_showcase()
    content = compress(model, digits.test.images[:20], keep=0)
    decode = model.decode
    model.decode = lambda *given, **more: decode(*given, **more) + 0.01  # type: ignore[method-assign]
    with pytest.raises(PIEError, match=r"not those that went in|damaged"):
        decompress(content, model)


@settings(deadline=None)
@given(st.lists(st.floats(-20, 280), min_size=1, max_size=300), st.floats(0.001, 2.0))
def test_doubtful_values_are_in_the_same_cell_everywhere(values: list[float], width: float) -> None:
    decoded = np.array(values)
    doubts, encoder = doubts_in(decoded, width), Encoder()
    encode_doubts(encoder, doubts, decoded.size)
    again = decode_doubts(Decoder(encoder.finish()), decoded.size)
    elsewhere = decoded + np.random.default_rng(0).uniform(-1, 1, decoded.shape) * width * 0.999
    assert np.array_equal(cells(elsewhere, again), cells(decoded, doubts))
    assert np.abs(cells(decoded, doubts).astype(float) - decoded.clip(0, 255)).max() <= 4 + width


@settings(deadline=None, max_examples=30)
@given(st.data())
def test_symbols_come_back_under_any_frequencies(data: st.DataObject) -> None:
    generator = np.random.default_rng(data.draw(st.integers(0, 999)))
    n, count = data.draw(st.sampled_from([2, 16, 256])), data.draw(st.integers(0, 50))
    weights = generator.random((count + 1, n)) ** data.draw(st.integers(1, 40))
    frequencies = whole_frequencies(weights, 2**24 - n).astype(np.float32)
    assert (frequencies.astype(np.float64).sum(1) == 2**24 - n).all()
    symbols = generator.integers(0, n, count).astype(np.int32)
    encoder = Encoder()
    encoder.put(symbols, frequencies[:count])
    encoder.put(symbols, frequencies[-1])
    encoder.put(symbols, uniform(n))
    decoder = Decoder(encoder.finish())
    for found in (decoder.take(frequencies[:count]), decoder.take(frequencies[-1], count)):
        assert np.array_equal(found, symbols)
    assert np.array_equal(decoder.take(uniform(n), count), symbols)
    decoder.finish()


def test_tables_are_those_of_the_model_or_refused(fitted: Fitted) -> None:
    model, tables = fitted
    tables.check(model.config)
    for name, value in (("frequencies", 1), ("classes", 64), ("pixels.0.middle", 2**15 - 1), ("pixels.0.exp", 0)):
        changed = dict(tables.tensors)
        changed[name] = torch.full_like(changed[name], value) if name in changed else torch.zeros(1)
        with pytest.raises(ValueError, match=name.split(".")[-1]):
            Tables(tables.weights, changed).check(model.config)


def test_arguments_out_of_range_are_refused(fitted: Fitted) -> None:
    model, tables = fitted
    images = smooth(2, model.image_shape[0], 8)
    for wrong in (images.float(), images[:, :, :4], images[:0], images[0]):
        with pytest.raises(ValueError, match="expected"):
            compress(model, wrong, tables=tables)
    with pytest.raises(ValueError, match="keep must lie between 0 and 4"):
        compress(model, images, 5, tables=tables)
    with pytest.raises(ValueError, match="fineness"):
        compress(model, images, fineness=1, tables=tables)
    with pytest.raises(ValueError, match="keep must lie between 0 and 1"):
        decompress(compress(model, images, 1, tables=tables), model, keep=2, tables=tables)
    for kind, names, what in (
        ("tensor", ["a.png", "b.png"], "names where there are no"),
        ("pictures", [], "or none where there are"),
        ("pictures", ["a.png"], "1 names for 2"),
        ("pictures", ["a.png", "../b.png"], "lead out"),
        ("grey array", [], "3 channels"),
        ("drawings", [], "none of"),
    ):
        with pytest.raises(ValueError, match=what):
            compress(model, images, tables=tables, kind=kind, names=names)  # type: ignore[arg-type]
    for wrong in (images.float(), images[:, :1], images[:0]):
        with pytest.raises(ValueError, match="expected"):
            fit_tables(model, wrong)
    with pytest.raises(PIEError, match="fit_tables"):
        compress(model, images)


def test_another_model_of_the_same_shape_is_refused_with_the_tables_of_the_first(fitted: Fitted) -> None:
    model, tables = fitted
    torch.manual_seed(1)
    images, other = smooth(2, model.image_shape[0], 8), small_pie(image_shape=(3, 8, 8)).eval()
    content = compress(model, images, 1, lossless=False, tables=tables)
    for wrong in (lambda: decompress(content, other, tables=tables), lambda: compress(other, images, tables=tables)):
        with pytest.raises(PIEError, match="other weights than the model's"):
            wrong()


def test_without_the_coder_one_line_says_what_to_install(fitted: Fitted, monkeypatch: pytest.MonkeyPatch) -> None:
    model, tables = fitted
    monkeypatch.setitem(sys.modules, "constriction", None)
    with pytest.raises(PIEError, match=r"pip install 'pseudo-invertible-encoder\[codec\]'"):
        compress(model, smooth(2, model.image_shape[0], 8), tables=tables)


BAD_NAMES = [
    "../x.png",
    "/x.png",
    "a/../../x.png",
    "a//x.png",
    "./x.png",
    "C:/x.png",
    "a\\x.png",
    "x",
    "x.exe",
    ".png ",
]
BAD_NAMES += ["con .png", "COM¹.png", "conin$.png", "é" * 126 + ".png", "\udcff.png"]
BAD_NAMES += ["con.png", "a/aux.png", "a\0.png", "a\n.png", "", "a/.png/..", "x.png/"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_names_that_lead_elsewhere_are_refused(name: str) -> None:
    with pytest.raises(Damaged):
        check_names([name])


def test_names_are_kept_and_never_alike() -> None:
    assert stored_names(["a.jpg", "b/c.png", "b/c.bmp"]) == ("a.png", "b/c.png", "b/c.bmp.png")
    assert stored_names(["ねこ/1.png"]) == ("ねこ/1.png",)
    assert stored_names(["A.PNG", "A.bmp"]) == ("A.PNG.png", "A.bmp.png")
    assert stored_names(["a.png", "a.png.png", "é" * 125 + ".jpg"]) == ("a.png", "a.png.png", "é" * 125 + ".png")
    for alike in (["a.png", "A.png", "a.png"], ["a.png/b.png", "a.png"], ["\xe9.png", "e\u0301.png"]):
        with pytest.raises(Damaged):
            stored_names(alike)
