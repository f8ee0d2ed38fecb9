"""The exact layer: the pixels given the decoded image, so that they come back as they were.

Each pixel is coded under a mixture of distributions. A network of whole numbers gives their weights: it sees the pixels
that are decoded already, above and to the left, those around it in earlier channels, and the decoded image. Its sums
are whole numbers below 2²⁴, which float32 counts exactly in whatever order, so every machine has the same
frequencies. `docs/FORMAT.md` has its equations.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pie_cli.codec.coder import SYMBOLS, Decoder, Encoder, Frequencies
from pie_cli.codec.tables import ABSOLUTE, AROUND, CAUSAL, STEEPNESS, WEIGHTS, Tables

MARGIN = 3  # pixels beyond the border that a neighbour may be; they are zero
PREDICTED = 4096  # what a prediction's coefficients are fractions of

Floats = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class PixelNetwork:
    """The frequencies of a channel's pixels, where z and `keep` levels are decoded."""

    def __init__(self, tables: Tables, channel: int, keep: int) -> None:
        def table(name: str) -> Floats:
            return tables[f"pixels.{channel}.{name}"]

        self.first = np.concatenate([table("known"), table("decoded")[keep]]).T.copy()
        self.row, self.column = table("row"), table("column")
        self.middle, self.middle_bias = table("middle").T.copy(), table("middle_bias")[keep, :, None]
        self.last, self.last_bias = table("last").T.copy(), table("last_bias")[keep, :, None]
        self.components, self.prediction = table("components"), table("prediction")[keep]
        self.exp = tables["exp"]

    def frequencies(self, features: Floats, y: int, x: int) -> Frequencies:
        """Return the frequencies (N, 256) at a position, given the known pixels (F, N) that predict it."""
        hidden = _activation(self.first @ features + (self.row[y] + self.column[x])[:, None])
        hidden = _activation(self.middle @ hidden + self.middle_bias)
        weights = self._weights(self.last @ hidden + self.last_bias)
        found: Frequencies = weights[:, :ABSOLUTE] @ self.components[:ABSOLUTE]
        around = weights[:, ABSOLUTE:] @ self.components[ABSOLUTE:]
        distances = (np.arange(SYMBOLS) - self.predict(features)[:, None]) % SYMBOLS
        found += around.take(distances + SYMBOLS * np.arange(len(around))[:, None])
        return found

    def predict(self, features: Floats) -> NDArray[np.int64]:
        """Return the grey levels (N,) that a linear function of the known pixels predicts."""
        sums = self.prediction[:-1] @ features + self.prediction[-1]
        return np.floor(sums / PREDICTED).clip(0, SYMBOLS - 1).astype(np.int64)

    def _weights(self, outputs: Floats) -> Floats:
        """Return the components' weights (N, K), which add up to `WEIGHTS`, from the network's outputs (K, N)."""
        logits = np.floor(outputs / 128)
        below = (logits.max(0) - logits).clip(max=STEEPNESS).astype(np.int16)
        exponentials = self.exp[below].T.astype(np.float64)
        weights = np.floor(exponentials * WEIGHTS / exponentials.sum(1, keepdims=True))
        weights[np.arange(len(weights)), weights.argmax(1)] += WEIGHTS - weights.sum(1)
        return weights.astype(np.float32)


def _activation(sums: Floats) -> Floats:
    """Return sums in 256ths as whole numbers from 0 to 255."""
    sums /= 256
    np.floor(sums, out=sums)
    return sums.clip(0, 255, out=sums)


class Canvas:
    """Images of a group, with what predicts each pixel at hand: (C, H + margins, W + margins, N) in float32."""

    def __init__(self, decoded: Pixels) -> None:
        count, self.channels, self.height, self.width = decoded.shape
        margins = ((0, 0), (MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0))
        self.decoded = np.pad(decoded.transpose(1, 2, 3, 0).astype(np.float32), margins)
        self.pixels = np.zeros_like(self.decoded)
        self.count = count

    def features(self, channel: int, y: int, x: int) -> Floats:
        """Return the known pixels (F, N) that predict one."""
        y, x = y + MARGIN, x + MARGIN
        known = [self.pixels[channel, y + dy, x + dx] for dy, dx in CAUSAL]
        known += [self.pixels[earlier, y + dy, x + dx] for earlier in range(channel) for dy, dx in AROUND]
        return np.stack(known + [self.decoded[channel, y + dy, x + dx] for dy, dx in AROUND])

    def set(self, channel: int, y: int, x: int, values: NDArray[np.integer]) -> None:
        """Set a pixel of all images."""
        self.pixels[channel, y + MARGIN, x + MARGIN] = values

    @property
    def images(self) -> Pixels:
        """The pixels (N, C, H, W)."""
        inside = self.pixels[:, MARGIN:-MARGIN, MARGIN:-MARGIN]
        return np.ascontiguousarray(inside.transpose(3, 0, 1, 2), np.uint8)


def _frequencies(network: PixelNetwork, features: Floats, y: int, x: int) -> Frequencies:
    """Return the frequencies (N, 256). Where nothing is near the pixel in most images, they are computed once."""
    least = features.min(1, keepdims=True)
    others = np.flatnonzero((features != least).any(0))
    found = np.empty((features.shape[1], SYMBOLS), np.float32)
    found[:] = network.frequencies(least, y, x)
    found[others] = network.frequencies(features[:, others], y, x)
    return found


def encode_pixels(encoder: Encoder, tables: Tables, keep: int, decoded: Pixels, pixels: Pixels) -> None:
    """Code the pixels (N, C, H, W) given the decoded ones, of the same shape, of z and `keep` levels."""
    canvas = Canvas(decoded)
    for channel in range(canvas.channels):
        network = PixelNetwork(tables, channel, keep)
        for y, x in np.ndindex(canvas.height, canvas.width):
            values = pixels[:, channel, y, x]
            encoder.put(values, _frequencies(network, canvas.features(channel, y, x), y, x))
            canvas.set(channel, y, x, values)


def decode_pixels(decoder: Decoder, tables: Tables, keep: int, decoded: Pixels) -> Pixels:
    """Return the pixels (N, C, H, W) that `encode_pixels` has coded given the decoded ones."""
    canvas = Canvas(decoded)
    for channel in range(canvas.channels):
        network = PixelNetwork(tables, channel, keep)
        for y, x in np.ndindex(canvas.height, canvas.width):
            frequencies = _frequencies(network, canvas.features(channel, y, x), y, x)
            canvas.set(channel, y, x, decoder.take(frequencies))
    return canvas.images
