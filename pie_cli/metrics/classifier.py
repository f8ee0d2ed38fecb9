"""The small classifier in whose features generated images are compared with real ones."""

import math
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from pie_cli.data.base import ImageSet
from pie_cli.errors import UnusableRun
from pie_cli.io.locks import lock
from pie_cli.io.tensors import check_tensors, load_tensors, save_tensors
from pie_cli.metrics.inference import batches

SMALLEST_SIDE = 8  # that a classifier can halve twice and still see
LARGEST_SIDE = 32  # of grey images that the small classifier sees
EPOCHS, LARGE_EPOCHS = 2, 12  # of the small classifier and of the large one
MIN_STEPS = 200  # small sets are seen more often
MAX_STEPS, QUICK_STEPS = 5_000, 1_000  # and large sets less often by the large one; of quick runs even less
BATCH = 128
LEARNING_RATE = 5e-3
SEEDS = (0, 1, 2)  # of the classifiers whose mean is reported


class Classifier(nn.Module):
    """A convolutional network from images (B, C, H, W) in [0, 1], at least 8×8 (ValueError), to logits (B, classes).

    One for digits, and a larger one for what is harder to tell: colour, and images with sides above `LARGEST_SIDE`.
    """

    def __init__(self, image_shape: tuple[int, int, int], classes: int) -> None:
        super().__init__()
        self.image_shape = image_shape
        channels, height, width = image_shape
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(f"image_shape must be at least 8×8 pixels, got {height}×{width}")
        self.body = _large_body(image_shape) if is_large(image_shape) else self._small_body(channels, height, width)
        self.head = nn.Linear(64, classes)

    @staticmethod
    def _small_body(channels: int, height: int, width: int) -> nn.Sequential:
        first = nn.Conv2d(channels, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        second = nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)
        last = nn.Flatten(), nn.Linear(32 * (height // 4) * (width // 4), 64), nn.ReLU()
        return nn.Sequential(*first, *second, *last)

    def features(self, x: Tensor) -> Tensor:
        """Return features (B, 64), none negative."""
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, classes)."""
        return self.head(self.features(x))


def is_large(image_shape: tuple[int, int, int]) -> bool:
    """Return whether images are seen by the larger classifier."""
    channels, height, width = image_shape
    return channels > 1 or max(height, width) > LARGEST_SIDE


def _large_body(image_shape: tuple[int, int, int]) -> nn.Sequential:
    """Return the larger classifier's layers before its head. The first stride leaves some 32 pixels of a side."""
    channels, *sides = image_shape
    stride = [max(1, side // LARGEST_SIDE) for side in sides]
    kernel = [max(3, s | 1) for s in stride]  # odd, so that half of it pads
    padding = [size // 2 for size in kernel]
    first = nn.Conv2d(
        channels, 32, (kernel[0], kernel[1]), (stride[0], stride[1]), (padding[0], padding[1]), bias=False
    )
    layers: list[nn.Module] = [first, nn.BatchNorm2d(32), nn.ReLU()]
    for before, after in ((32, 64), (64, 128)):
        layers += [
            nn.MaxPool2d(2),
            nn.Conv2d(before, after, 3, padding=1, bias=False),
            nn.BatchNorm2d(after),
            nn.ReLU(),
        ]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 64), nn.ReLU())


@torch.no_grad()
def features_of(classifier: Classifier, images: Tensor | ImageSet) -> Tensor:
    """Return the features (N, 64) of any number of images, clipped to [0, 1] first."""
    device = classifier.head.weight.device
    return torch.cat([classifier.features(batch.to(device).clamp(0, 1)) for batch in batches(images)])


@torch.no_grad()
def predictions(classifier: Classifier, images: Tensor) -> Tensor:
    """Return the most probable class, shape (N,), of each image, clipped to [0, 1] first."""
    return classifier.head(features_of(classifier, images)).argmax(1)


@torch.no_grad()
def confidence(classifier: Classifier, features: Tensor) -> Tensor:
    """Return the largest class probability, shape (N,), of each image, given its features (N, 64)."""
    return classifier.head(features).softmax(1).amax(1)


def train_classifier(
    train: ImageSet, seed: int = 0, classes: int | None = None, most_steps: int = MAX_STEPS
) -> Classifier:
    """Train a classifier on the CPU and return it in eval mode; torch's global random state is left as it was.

    There are so many classes, or as many as the labels say. A large one is trained for `most_steps` at most, of whole
    epochs. Raises ValueError if the images have no labels.
    """
    classifier, labels = _untrained(train, seed, classes), train.labels
    assert labels is not None
    generator = torch.Generator().manual_seed(seed)
    wanted, shape = EPOCHS, train.images.shape[1:]
    if is_large((shape[0], shape[1], shape[2])):
        wanted = max(1, min(LARGE_EPOCHS, most_steps * BATCH // len(train)))
    epochs = max(wanted, math.ceil(MIN_STEPS * BATCH / len(train)))
    steps = epochs * math.ceil(len(train) / BATCH)
    optimizer = torch.optim.Adam(classifier.parameters(), fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(train), generator=generator).split(BATCH):
            loss = F.cross_entropy(classifier(train.take(batch).float() / 255), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return classifier.eval()


def load_or_train_classifiers(
    cache: Path, train: ImageSet, name: str, report: Callable[[str], None] = lambda message: None,
    classes: int | None = None, most_steps: int = MAX_STEPS,
) -> list[Classifier]:  # fmt: skip
    """Return a classifier of each of `SEEDS`, as `load_or_train_classifier` does."""
    return [load_or_train_classifier(cache, train, name, report, seed, classes, most_steps) for seed in SEEDS]


def load_or_train_classifier(
    cache: Path, train: ImageSet, name: str, report: Callable[[str], None] = lambda message: None, seed: int = 0,
    classes: int | None = None, most_steps: int = MAX_STEPS,
) -> Classifier:  # fmt: skip
    """Return the classifier of a data set in eval mode, from the folder `cache` or trained and stored there.

    A stored one that is damaged, or of other data or another recipe, is replaced. Of several processes at once, one
    trains it and the others wait; `report` is told so on one line, and why. Raises FolderError if it cannot be written.
    """
    path = cache / f"classifier-{name}{f'-{seed}' if seed else ''}.safetensors"
    classifier = _untrained(train, classes=classes)
    length, takes = f"epochs {EPOCHS}, steps {MIN_STEPS}", "some 10 s"
    if is_large(classifier.image_shape):
        length, takes = f"epochs {LARGE_EPOCHS}, steps {MIN_STEPS} to {most_steps}", "some minutes"
    recipe = {
        "dataset": name,
        "data_sha256": train.sha256,
        "architecture": repr(classifier),
        "training": f"{length}, batch {BATCH}, learning rate {LEARNING_RATE}, seed {seed}",
    }
    if _restore(classifier, path, recipe):
        held = "another process is training the classifier that measures realism; waiting for it"
        with lock(cache / f".{path.stem}.lock", held, report):
            if problem := _restore(classifier, path, recipe):  # still, now that no other process is training it
                report(f"{problem}: training the classifier that measures realism ({takes})")
                classifier = train_classifier(train, seed, classes, most_steps)
                save_tensors(path, classifier.state_dict(), recipe)
    return classifier.eval()


def _restore(classifier: Classifier, path: Path, recipe: dict[str, str]) -> str:
    """Give the classifier the stored weights, if they are of this recipe; otherwise return the reason."""
    try:
        weights, stored = load_tensors(path)
        if stored != recipe:
            return f"{path} is of other data or another recipe"
        check_tensors(weights, classifier.state_dict())
    except (UnusableRun, ValueError):
        return f"{path} is damaged" if path.exists() else f"{path} does not exist yet"
    classifier.load_state_dict(weights)
    return ""


def _untrained(train: ImageSet, seed: int = 0, classes: int | None = None) -> Classifier:
    if train.labels is None:
        raise ValueError("a classifier needs labels")
    channels, height, width = train.images.shape[1:]
    # Only the CPU's generator is seeded and restored: torch.manual_seed would reseed every GPU too.
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        classifier = Classifier((channels, height, width), classes or int(train.labels.max()) + 1)
    return classifier.to(memory_format=torch.channels_last)  # where convolutions are fastest
