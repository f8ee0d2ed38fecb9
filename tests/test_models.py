"""Models as objects: what the shipped one decodes, what older files hold, and where a model can be sent."""

from __future__ import annotations

import copy
import multiprocessing
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from pie_cli import PIE, RAE, VAE, WAE, PIEConfig, PIEError, RAEConfig, VAEConfig, WAEConfig, load_model, save_model
from pie_cli.metrics import classifier
from pie_cli.models.base import Autoencoder
from pie_cli.models.config import Scale
from pie_cli.models.couplings import AdditiveCoupling
from pie_cli.models.registry import plain_copy, restore_model
from pie_cli.models.rotations import Householder
from pie_cli.runs.find import SHOWCASE
from tests.conftest import call, randomise, small_pie


def test_the_shipped_run_decodes_to_what_it_decoded_to() -> None:
    """tests/data/showcase.npz has what version 0.1 computed with these weights, in its layout."""
    model = load_model(SHOWCASE)
    assert isinstance(model, PIE)
    with np.load(Path(__file__).parent / "data" / "showcase.npz") as kept:
        expected = {name: torch.from_numpy(kept[name]) for name in kept.files}
    generator = torch.Generator().manual_seed(0)
    z, x = torch.randn(4, 10, generator=generator), torch.rand(2, 1, 28, 28, generator=generator)
    torch.testing.assert_close(z, expected["z"])
    torch.testing.assert_close(model.decode(z), expected["decoded"], atol=1e-5, rtol=0)
    torch.testing.assert_close(model.encode(x), expected["code"], atol=1e-5, rtol=0)
    torch.testing.assert_close(model.log_prob(x), expected["log_prob"], atol=0.1, rtol=1e-5)


def test_weights_of_the_former_layout_are_read() -> None:
    """In it, the networks of additive couplings had outputs for a scale too, and every rotation had a constant."""
    model = small_pie()
    model.start_from_data(torch.rand(100, 1, 8, 8))
    former = dict(model.state_dict())
    for name, module in model.named_modules():
        if isinstance(module, AdditiveCoupling):
            for net in ("net1", "net2"):
                last = max(int(key) for key in dict(getattr(module, net).named_children()))
                for part in ("weight", "bias"):
                    key = f"{name}.{net}.{last}.{part}"
                    former[key] = torch.cat([torch.randn_like(former[key]), former[key]])
        elif isinstance(module, Householder):
            former[f"{name}.start"] = former.pop(f"{name}.q", torch.eye(module.vectors.shape[1]))
    assert former.keys() != model.state_dict().keys()
    x = torch.rand(3, 1, 8, 8)
    restored = restore_model(model.config, former, layout=1)
    assert restored.state_dict().keys() == model.state_dict().keys()
    torch.testing.assert_close(restored.encode(x), model.encode(x))
    with pytest.raises(ValueError, match="not one of the model"):
        restore_model(model.config, former)


def test_every_output_of_every_network_has_an_effect() -> None:
    """Each changes the loss: none is computed in vain."""
    scales: tuple[Scale, ...] = ("contractive", "affine", "additive")
    for scale in scales:
        model = small_pie(scale=scale).double()
        networks = [module for module in model.modules() if isinstance(module, nn.Sequential)]
        biases = [list(network.parameters())[-1] for network in networks]
        gradients = torch.autograd.grad(model.loss(torch.rand(20, 1, 8, 8, dtype=torch.float64)), biases)
        assert len(gradients) == 2 * 3 * 5 + 4  # of s and b, and of g
        assert all((gradient != 0).all() for gradient in gradients)


def test_encoding_computes_neither_g_nor_log_determinants(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small_pie()
    calls = list[str]()
    for name, block in enumerate(model.blocks):
        if block.split.g is not None:
            block.split.g.register_forward_hook(lambda *_, name=name: calls.append(f"g{name}"))
    monkeypatch.setattr(Tensor, "log", lambda *_: calls.append("log"))
    x = torch.rand(3, 1, 8, 8)
    code = model.encode(x)
    assert calls == []
    monkeypatch.undo()
    torch.testing.assert_close(code, model(x)[0])


class Exact(nn.Module):
    """The exact inverse as a module, since torch.export takes one."""

    def __init__(self, model: PIE) -> None:
        super().__init__()
        self.model = model

    def forward(self, z: Tensor, residuals: list[Tensor]) -> Tensor:
        return self.model.decode(z, residuals)


class Calling(nn.Module):
    """A method of a model as a module."""

    def __init__(self, model: Autoencoder, method: str) -> None:
        super().__init__()
        self.model, self.method = model, method

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = getattr(self.model, self.method)(x)
        return result


def test_encode_and_decode_are_exported_with_any_batch() -> None:
    model = small_pie(couplings=1).eval()
    batch = torch.export.Dim("batch", min=2)
    for method, example in (("encode", torch.rand(3, 1, 8, 8)), ("decode", torch.randn(3, 3))):
        exported = torch.export.export(Calling(model, method), (example,), dynamic_shapes=({0: batch},)).module()
        x = torch.rand(7, *example.shape[1:])
        torch.testing.assert_close(exported(x), getattr(model, method)(x))
    x = torch.rand(3, 1, 8, 8)
    z, residuals, _ = model(x)
    shapes = ({0: batch}, [{0: batch} for _ in residuals])
    exact = torch.export.export(Exact(model), (z, residuals), dynamic_shapes=shapes).module()
    x = torch.rand(5, 1, 8, 8)
    z, residuals, _ = model(x)
    torch.testing.assert_close(exact(z, residuals), x, atol=1e-4, rtol=0)


class Both(nn.Module):
    """Encode and the exact inverse in one graph."""

    def __init__(self, model: PIE) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor, z: Tensor, residuals: list[Tensor]) -> tuple[Tensor, Tensor]:
        return self.model.encode(x), self.model.decode(z, residuals)


@pytest.mark.slow
def test_onnxruntime_computes_what_torch_does(tmp_path: Path) -> None:
    """On the shipped run, with another batch than the example's."""
    model = load_model(SHOWCASE).requires_grad_(False)
    assert isinstance(model, PIE)

    def inputs(count: int) -> tuple[Tensor, Tensor, list[Tensor]]:
        x = torch.rand(count, 1, 28, 28)
        z, residuals, _ = model(x)
        return x, z, residuals

    batch, example = torch.export.Dim("batch", min=2), inputs(3)
    shapes = ({0: batch}, {0: batch}, [{0: batch} for _ in example[2]])
    program = torch.export.export(Both(model).eval(), example, dynamic_shapes=shapes)
    exported = torch.onnx.export(program, dynamo=True, verbose=False, optimize=False)
    assert exported is not None
    exported.save(tmp_path / "pie.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "pie.onnx")
    x, z, residuals = inputs(7)
    zeros = [torch.zeros_like(one) for one in residuals]  # with them, the exact inverse is what z alone decodes to
    for deviations, decoded in ((residuals, model.decode(z, residuals)), (zeros, model.decode(z))):
        feed = zip(session.get_inputs(), (x, z, *deviations), strict=True)
        found = session.run(None, {one.name: value.numpy() for one, value in feed})
        for result, expected in zip(found, (model.encode(x), decoded), strict=True):
            torch.testing.assert_close(torch.from_numpy(result), expected, atol=1e-5, rtol=0)


MODELS: dict[str, Callable[[], Autoencoder]] = {
    "pie": lambda: randomise(PIE(PIEConfig(image_shape=(1, 8, 8), latent_dim=3, dense_width=8)), 0.1),
    "affine": lambda: PIE(PIEConfig(image_shape=(1, 8, 8), latent_dim=3, dense_width=8, scale="affine")),
    "vae": lambda: VAE(VAEConfig(image_shape=(1, 8, 8), latent_dim=3)).eval(),
    "wae": lambda: WAE(WAEConfig(image_shape=(1, 8, 8), latent_dim=3)).eval(),
    "rae": lambda: RAE(RAEConfig(image_shape=(1, 8, 8), latent_dim=3)).eval(),
}


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_pickled_copied_and_sent_to_another_process(name: str) -> None:
    model, x = MODELS[name](), torch.rand(5, 1, 8, 8)
    if isinstance(model, PIE):
        model.start_from_data(torch.rand(100, 1, 8, 8))
    expected = model.encode(x)
    for again in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
        assert torch.equal(again.encode(x), expected)
    if name in ("pie", "vae"):
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            (sent,) = pool.map(encoded, [(model, x.numpy())])
        assert np.array_equal(sent, expected.detach().numpy())


def encoded(job: tuple[Autoencoder, np.ndarray]) -> np.ndarray:
    """Encode in another process; arrays travel without a file descriptor each."""
    torch.set_num_threads(1)
    model, images = job
    return model.encode(torch.from_numpy(images)).detach().numpy()


# The types that images, codes and weights may have

PRECISION = {torch.float64: 1e-5, torch.float16: 0.02, torch.bfloat16: 0.15}  # of values near 1, through a whole model


@pytest.mark.parametrize("autocast", [None, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("dtype", PRECISION, ids=str)
@pytest.mark.parametrize("name", MODELS)
def test_every_type_of_images_codes_and_weights(name: str, dtype: torch.dtype, autocast: torch.dtype | None) -> None:
    """Inside autocast and outside; likelihoods sum over many pixels, so they have at least float32's range."""
    plain, x = MODELS[name](), torch.rand(6, 1, 8, 8)
    loosest = max(PRECISION[dtype], PRECISION.get(autocast or torch.float64, 0.0))
    with torch.no_grad():
        z, decoded = plain.encode(x), plain.reconstruct(x)
        for model in (plain, copy.deepcopy(plain).to(dtype)):
            own = next(model.parameters()).dtype
            with torch.autocast("cpu", autocast or torch.bfloat16, enabled=autocast is not None):
                codes, images = model.encode(x.to(dtype)), model.decode(z.to(dtype))
                torch.testing.assert_close(codes.float(), z, atol=loosest, rtol=loosest)
                torch.testing.assert_close(images.float(), decoded, atol=loosest, rtol=loosest)
                assert model.sample(2).isfinite().all()
                if isinstance(model, PIE):
                    assert isinstance(plain, PIE)
                    assert codes.dtype == images.dtype == own  # what is inverted stays in the weights' type
                    log_prob = model.log_prob(x.to(dtype))
                    assert log_prob.dtype == torch.promote_types(own, torch.float32)
                    torch.testing.assert_close(log_prob.float(), plain.log_prob(x), atol=0, rtol=loosest)
                    back = model.decode(*model(x.to(dtype))[:2])
                    torch.testing.assert_close(back.float(), x, atol=loosest, rtol=loosest)


def test_grey_levels_are_no_images() -> None:
    for model in (MODELS["pie"](), MODELS["vae"]()):
        with pytest.raises(ValueError, match=r"floats in \[0, 1\], got uint8"):
            model.encode(torch.zeros(2, 1, 8, 8, dtype=torch.uint8))


def test_what_one_looks_at_carries_no_gradient() -> None:
    for build in MODELS.values():
        model, x = build(), torch.rand(3, 1, 8, 8)
        assert model.sample(2).numpy().shape == (2, 1, 8, 8)
        assert model.reconstruct(x).numpy().shape == (3, 1, 8, 8)
        assert model.decode(model.encode(x)).requires_grad  # these stay differentiable


# Projection


@pytest.mark.parametrize("name", MODELS)
def test_projection_comes_nearer_and_never_loses(name: str) -> None:
    model, x = randomise(MODELS[name](), 0.1), torch.rand(6, 1, 8, 8)

    def errors(z: Tensor) -> Tensor:
        return (model.decode(z) - x).square().flatten(1).sum(1).detach()

    encoded, projected = errors(model.encode(x)), errors(z := model.project(x, 20))
    assert (projected <= encoded).all()
    assert projected.mean() < encoded.mean()
    assert not z.requires_grad
    assert all(parameter.grad is None for parameter in model.parameters())
    assert torch.equal(model.project(x, 0), model.encode(x))
    torch.testing.assert_close(model.project(x[:2], 20), z[:2], atol=1e-3, rtol=0)  # each image on its own
    with torch.no_grad():
        assert torch.equal(model.project(x, 20), z)


# Models of the user's own


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 12, 8), (2, 16, 16)])
@pytest.mark.parametrize("kind", ["pie", "vae"])
def test_a_model_of_ones_own_becomes_a_run_folder(
    kind: str,
    shape: tuple[int, int, int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    model: Autoencoder = VAE(VAEConfig(image_shape=shape, latent_dim=3))
    if kind == "pie":
        model = PIE(PIEConfig(image_shape=shape, latent_dim=3, dense_width=8, conv_width=4, reflections=2))
        model.start_from_data(torch.rand(100, *shape))
    save_model(model, tmp_path / "own")
    again = load_model(tmp_path / "own")
    x = torch.rand(4, *shape)
    torch.testing.assert_close(again.encode(x), model.eval().encode(x))
    code, printed, errors = call(f"sample {tmp_path / 'own'} --count 6", capsys, monkeypatch)
    assert code == 0, errors
    assert "samples_6_variance1.png" in printed
    for command in ("reconstruct", "interpolate", "umap", "evaluate"):
        code, _, errors = call(f"{command} {tmp_path / 'own'} --dataset digits", capsys, monkeypatch)
        assert code == 2
        assert "--dataset digits has images of shape (1, 28, 28); the model in" in errors
    code, _, errors = call(f"umap {tmp_path / 'own'}", capsys, monkeypatch)
    assert (code, errors.count("\n")) == (2, 1)
    assert "does not say which images it was trained on; name some with --dataset" in errors


def test_a_model_of_ones_own_is_compared_on_known_images(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # Untrained classifiers are enough here, and take no time.
    monkeypatch.setattr(classifier, "train_classifier", lambda *given: classifier._untrained(*given[:3]))
    save_model(PIE(PIEConfig(latent_dim=4, dense_width=8, conv_width=4, couplings=1)), tmp_path / "own")
    monkeypatch.chdir(tmp_path)
    for command in ("reconstruct own", "reconstruct own --keep 1", "interpolate own", "evaluate own"):
        code, printed, errors = call(f"{command} --dataset digits", capsys, monkeypatch)
        assert code == 0, errors
        assert "wrote" in printed
    assert "pie-d4-eps0.01, trained elsewhere" in (tmp_path / "results" / "evaluation.md").read_text()


def test_saving_overwrites_nothing_unasked(tmp_path: Path) -> None:
    first, second = small_pie(), small_pie(eps2=0.5)
    save_model(first, tmp_path)
    with pytest.raises(PIEError, match="is not empty"):
        save_model(second, tmp_path)
    assert torch.equal(load_model(tmp_path).sample(1, std=0), first.sample(1, std=0))
    (tmp_path / "figures" / "sub").mkdir(parents=True)
    (tmp_path / "figures" / "old.png").touch()
    save_model(second, tmp_path, overwrite=True)
    assert torch.equal(load_model(tmp_path).sample(1, std=0), second.sample(1, std=0))
    assert not (tmp_path / "figures" / "old.png").exists()
    for name, content in (("thesis", None), ("bert", '{"model_type": "bert"}')):
        foreign = tmp_path / name
        (foreign / "figures").mkdir(parents=True)
        (foreign / "metrics.csv").write_text("mine")
        if content:
            (foreign / "config.json").write_text(content)
        for overwrite in (False, True):
            with pytest.raises(PIEError):
                save_model(first, foreign, overwrite=overwrite)
        assert (foreign / "metrics.csv").read_text() == "mine"
    with torch.no_grad():
        next(second.parameters()).fill_(torch.nan)
    with pytest.raises(ValueError, match="not finite"):
        save_model(second, tmp_path, overwrite=True)
    assert load_model(tmp_path).sample(1).isfinite().all()  # the good one stays


class Doubled(PIE):
    """A user's model, which no configuration describes."""

    def encode(self, x: Tensor) -> Tensor:
        return 2 * super().encode(x)


@pytest.mark.parametrize(
    "change", [lambda model: Doubled(model.config), nn.DataParallel, lambda model: model.to("meta")]
)
def test_what_a_file_cannot_hold_is_not_saved(change: Callable[[PIE], Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="model"):
        save_model(change(small_pie()), tmp_path / "own")
    assert not (tmp_path / "own").exists()


def test_a_start_from_data_is_exact_in_every_surrounding() -> None:
    """Q is orthogonal to float32's precision, even if autocast or a shorter type has rounded what it is made from."""
    x = torch.rand(100, 1, 8, 8, dtype=torch.float64)
    model = small_pie()
    with torch.autocast("cpu", torch.bfloat16):
        model.start_from_data(x)
    rounded = plain_copy(copy.deepcopy(model).bfloat16())
    for one in (model, rounded):
        assert isinstance(one, PIE)
        z, residuals, _ = one(x)
        torch.testing.assert_close(one.decode(z, residuals), x.float(), atol=1e-4, rtol=0)
    with pytest.raises(ValueError, match="expected images"):
        model.start_from_data(torch.zeros(5, 1, 8, 8, dtype=torch.uint8))


# Recomputed activations: every way into autograd gives what the plain model gives


def twins(**changes: object) -> tuple[PIE, PIE]:
    """Return two PIEs of the same weights, the second of which recomputes its activations."""
    plain = small_pie(**changes).double()
    again = copy.deepcopy(plain)
    again.recompute_activations()
    return plain, again


def second_order(model: PIE, x: Tensor) -> list[Tensor]:
    nll = -model.log_prob(x).mean()
    (gradient,) = torch.autograd.grad(nll, x, create_graph=True)
    return list(torch.autograd.grad(nll + gradient.square().sum(), list(model.parameters())))


def of_the_input(model: PIE, x: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(model.log_prob(x).sum(), [x]))


def frozen(model: PIE, x: Tensor) -> list[Tensor]:
    for parameter in model.blocks[1].parameters():
        parameter.requires_grad_(False)
    model.loss(x).backward()
    return [torch.zeros(1) if p.grad is None else p.grad for p in model.parameters()]


def other_parameters(model: PIE, x: Tensor) -> list[Tensor]:
    others = {name: (1.1 * p.detach()).requires_grad_() for name, p in model.named_parameters()}
    z, residuals, log_det = functional_call(model, others, (x,))
    torch.cat([z, *residuals, log_det[:, None]], dim=1).square().sum().backward()
    return [torch.zeros(1) if p.grad is None else p.grad for p in others.values()]


def noisy(model: PIE, x: Tensor) -> list[Tensor]:
    torch.manual_seed(7)
    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.register_forward_hook(lambda _, __, output: output + 0.1 * torch.randn_like(output))
    model.loss(x).backward()
    return [torch.zeros(1) if p.grad is None else p.grad for p in model.parameters()]


def hooked(model: PIE, x: Tensor) -> list[Tensor]:
    seen = list[Tensor]()
    for parameter in model.parameters():
        parameter.register_hook(seen.append)
    model.loss(x).backward()
    return sorted(seen, key=lambda gradient: (gradient.shape, gradient.abs().sum().item()))


def partly_without_gradient(model: PIE, x: Tensor) -> list[Tensor]:
    with torch.no_grad():
        z, residuals, _ = model(x)
    model.decode(z, residuals).square().sum().backward()
    return [torch.zeros(1) if p.grad is None else p.grad for p in model.parameters()]


@pytest.mark.parametrize(
    "ways", [second_order, of_the_input, frozen, other_parameters, hooked, noisy, partly_without_gradient]
)
@pytest.mark.parametrize("scale", ["contractive", "affine"])
def test_recomputed_gradients_are_those_of_the_plain_model(
    ways: Callable[[PIE, Tensor], list[Tensor]], scale: str
) -> None:
    x = torch.rand(6, 1, 8, 8, dtype=torch.float64)
    plain, again = (ways(model, x.clone().requires_grad_()) for model in twins(scale=scale))
    assert len(plain) == len(again) > 0
    for one, other in zip(plain, again, strict=True):
        torch.testing.assert_close(other, one, rtol=1e-9, atol=1e-9)


def test_parameters_that_change_before_the_backward_pass_are_an_error() -> None:
    for model in twins():
        loss = model.loss(torch.rand(6, 1, 8, 8, dtype=torch.float64))
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(0.1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()


def test_a_configuration_is_the_models_own() -> None:
    """g = 0 and odd sizes decode from z alone too."""
    model = small_pie(predict_residual=False)
    assert model.decode(torch.randn(2, 3)).shape == (2, 1, 8, 8)
    assert replace(model.config, predict_residual=True) == small_pie().config
