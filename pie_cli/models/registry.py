"""The models by name, as configurations and the command line call them."""

from collections.abc import Callable

import torch
from torch import Tensor

from pie_cli.io.tensors import check_tensors
from pie_cli.models.base import Autoencoder
from pie_cli.models.baselines import RAE, VAE, WAE
from pie_cli.models.config import ModelConfig, PIEConfig, RAEConfig, VAEConfig, WAEConfig
from pie_cli.models.couplings import AdditiveCoupling
from pie_cli.models.pie import PIE

LAYOUT = 2  # of a state's tensors; see `upgrade`

Build = Callable[[ModelConfig], Autoencoder]
MODELS: dict[type[ModelConfig], Callable[..., Autoencoder]] = {
    PIEConfig: PIE,
    VAEConfig: VAE,
    WAEConfig: WAE,
    RAEConfig: RAE,
}


def build_model(config: ModelConfig) -> Autoencoder:
    """Return a fresh model; its weights come from torch's global generator.

    Example:
        >>> type(build_model(WAEConfig())).__name__
        'WAE'
    """
    return MODELS[type(config)](config)


def restore_model(
    config: ModelConfig, weights: dict[str, Tensor], layout: int = LAYOUT, build: Build = build_model
) -> Autoencoder:
    """Return the model with these weights, in float32 on the CPU, whatever torch's defaults and modes are.

    No random number is drawn. Raises ValueError where names, types, shapes or values are not the model's own.
    """
    with torch.inference_mode(False):
        try:
            with torch.device("meta"):  # sizes cost no memory before they are known to be those of the weights
                model = build(config).float()
            if layout < LAYOUT:
                weights = upgrade(model, weights)
            model.expect(weights)
        except (RuntimeError, OverflowError, IndexError, KeyError) as error:
            raise ValueError("no model has such sizes") from error
        state = model.state_dict()
        check_tensors(weights, state)
        # In the memory format of the model's own: convolutions have theirs.
        own = {name: torch.empty_like(state[name], device="cpu").copy_(weights[name]) for name in state}
        model.load_state_dict(own, assign=True)
        return model


def plain_copy(model: Autoencoder) -> Autoencoder:
    """Return what is left of a model in a file: the one that its configuration describes, with its weights in float32.

    Raises ValueError if it is not one of the models, or not the one that its configuration describes.
    """
    if type(model) not in MODELS.values():
        name = type(model).__name__
        raise ValueError(f"a {name} cannot be saved, only one of the models itself (model.module, if it is wrapped)")
    weights = {name: t.detach() for name, t in model.state_dict().items()}
    if any(tensor.is_meta for tensor in weights.values()):
        raise ValueError("the model's weights have no values: it is on the device meta")
    floats = {name: (t.float() if t.is_floating_point() else t).cpu() for name, t in weights.items()}
    copy = restore_model(model.config, floats)
    for rotation in copy.first_rotations if isinstance(copy, PIE) else ():
        rotation.make_orthogonal()
    return copy


def upgrade(model: Autoencoder, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return weights of layout 1 in today's.

    There, an additive coupling's networks gave a scale too, which had no effect, and every rotation had a constant
    called "start", the identity but for those that a start from data had set.
    """
    upgraded, shapes = dict(weights), model.state_dict()
    constants = {name: upgraded.pop(name) for name in weights if name.endswith(".start")}
    started = not all(torch.equal(q, torch.eye(q.shape[0], dtype=q.dtype)) for q in constants.values())
    for name, module in model.named_modules():
        if isinstance(module, AdditiveCoupling):
            for key in upgraded.keys() & shapes.keys():
                if key.startswith((f"{name}.net1.", f"{name}.net2.")):
                    upgraded[key] = upgraded[key][upgraded[key].shape[0] - shapes[key].shape[0] :]
        elif started and isinstance(model, PIE) and any(module is one for one in model.first_rotations):
            upgraded[f"{name}.q"] = constants[f"{name}.start"]
    return upgraded
