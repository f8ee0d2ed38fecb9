"""The entropy coder: constriction's range coder, under frequencies that are whole numbers.

A table of n frequencies, one for each symbol, adds up to 2²⁴ − n, and each symbol has one more than its frequency, of
2²⁴. Then constriction has nothing to round: it would normalise by a factor of exactly one. So two machines cannot
disagree on an interval, and no symbol is impossible. `docs/FORMAT.md` describes the coder itself.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pie_cli.errors import UsageError

TOTAL = 2**24  # what the frequencies of all symbols add up to, one more for each symbol included
SYMBOLS = 256  # of most alphabets
STATE = 64  # bits that the coder may hold back

Symbols = NDArray[np.int32]
Frequencies = NDArray[np.float32]  # whole numbers: all sums of them are below 2²⁴, which float32 counts exactly


class Damaged(ValueError):
    """The data are not what an encoder wrote; the message says what is wrong."""


def _stream() -> Any:
    try:
        from constriction import stream
    except ImportError as error:
        extra = "pip install 'pseudo-invertible-encoder[codec]'"
        raise UsageError(f"compressed files need the extra: {extra}") from error
    return stream


def check_installed() -> None:
    """Raise UsageError if constriction is missing."""
    _stream()


@contextmanager
def _failing_as_damaged() -> Iterator[None]:
    """Make whatever the coder raises `Damaged`: a panic of its Rust code is not even an `Exception`."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise Damaged("its symbols cannot be decoded") from error
        raise


def uniform(symbols: int) -> Frequencies:
    """Return equal frequencies of so many symbols, a power of two."""
    return np.full(symbols, TOTAL // symbols - 1, np.float32)


def whole_frequencies(weights: NDArray[np.float64], total: int) -> NDArray[np.float64]:
    """Return whole numbers in proportion to weights (…, n), rounded down; each row's largest gets what is left."""
    scaled = np.floor(weights / weights.sum(-1, keepdims=True) * total)
    largest = np.expand_dims(weights.argmax(-1), -1)
    left = total - scaled.sum(-1, keepdims=True)
    np.put_along_axis(scaled, largest, np.take_along_axis(scaled, largest, -1) + left, -1)
    return scaled


class Encoder:
    """Symbols into bytes.

    Example:
        >>> encoder = Encoder()
        >>> encoder.put(np.array([3, 1, 2], np.int32), uniform(4))
        >>> Decoder(encoder.finish()).take(uniform(4), 3)
        array([3, 1, 2], dtype=int32)
    """

    def __init__(self) -> None:
        stream = _stream()
        self._coder, self._model = stream.queue.RangeEncoder(), stream.model.Categorical

    def put(self, symbols: NDArray[Any], frequencies: Frequencies) -> None:
        """Add symbols (N,), all under one table (n,), or each under its own (N, n)."""
        if not len(symbols):
            return
        symbols = np.ascontiguousarray(symbols, np.int32)
        if frequencies.ndim == 1:
            self._coder.encode(symbols, self._model(frequencies, perfect=False))
        else:
            self._coder.encode(symbols, self._model(perfect=False), frequencies)

    def finish(self) -> bytes:
        """Return all symbols as words of 32 bits, little-endian."""
        content: bytes = self._coder.get_compressed().astype("<u4").tobytes()
        return content


class Decoder:
    """Bytes into symbols. What is no encoder's work decodes into some symbols or raises `Damaged`."""

    def __init__(self, content: bytes) -> None:
        stream = _stream()
        if len(content) % 4:
            raise Damaged("it does not consist of words of 32 bits")
        words = np.frombuffer(content, "<u4").astype(np.uint32)
        self._coder, self._model = stream.queue.RangeDecoder(words), stream.model.Categorical

    def take(self, frequencies: Frequencies, count: int | None = None) -> Symbols:
        """Return `count` symbols under one table (n,), or one under each of (N, n)."""
        with _failing_as_damaged():
            if frequencies.ndim == 1:
                assert count is not None
                found = self._coder.decode(self._model(frequencies, perfect=False), count)
            else:
                found = self._coder.decode(self._model(perfect=False), frequencies)
            return np.asarray(found, np.int32)

    def finish(self) -> None:
        """Raise `Damaged` unless everything has been read."""
        if not self._coder.maybe_exhausted():
            raise Damaged("it holds more than its symbols")
