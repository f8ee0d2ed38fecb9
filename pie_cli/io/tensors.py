"""Tensors and JSON in one safetensors file, written atomically and verified by SHA-256. No pickle."""

import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pie_cli.errors import PIEError, UnusableRun
from pie_cli.io.files import parse_json, read_bytes, write_atomically

Tensors = dict[str, Tensor]
Metadata = dict[str, Any]

LARGEST_FILE = 2**34  # bytes; a checkpoint of a billion parameters has fewer
_KEY = "pie"
_LENGTH = 8  # bytes of a safetensors file that say how long its header is


def save_tensors(
    path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any], previous: Path | None = None
) -> None:
    """Write tensors and JSON-able metadata to `path`, with a SHA-256 over both.

    The file that `path` had is kept at `previous`, if given. Raises FolderError if the file cannot be written; the
    older one is then still whole.
    """
    flat = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(metadata)
    # One key: safetensors writes several in no fixed order, and equal contents should make equal files.
    header = {_KEY: json.dumps({"sha256": digest(flat, text), "metadata": text})}

    def write(temporary: Path) -> None:
        temporary.write_bytes(save(flat, header))
        if previous is not None and path.is_file():
            # Until the new file takes the name `path`, both names are of the old one: it is whole at every moment.
            previous.unlink(missing_ok=True)
            try:
                previous.hardlink_to(path)
            except OSError:
                # Without hard links (FAT, some network folders), a process killed here leaves only `previous`.
                path.replace(previous)

    write_atomically(path, write)


def load_tensors(path: Path) -> tuple[Tensors, Metadata]:
    """Return the tensors (on the CPU) and the metadata of a file that `save_tensors` wrote.

    The bytes are read once, so the verified bytes are the ones that are used. `check_tensors` says whether they are the
    tensors that the caller wants. Raises UnusableRun if the file is missing, damaged or not one of ours.
    """
    try:
        content = read_bytes(path, LARGEST_FILE)
        # The header is a slice of what has been read, so a false length costs no memory.
        length = int.from_bytes(content[:_LENGTH], "little")
        if length > len(content) - _LENGTH:
            raise ValueError("it is shorter than its header")
        header = parse_json(content[_LENGTH : _LENGTH + length].decode("utf-8"))
        ours = parse_json(header["__metadata__"][_KEY])
        sha256, text = ours["sha256"], ours["metadata"]
        tensors = load(content)
        if digest(tensors, text) != sha256:
            raise ValueError("its SHA-256 does not match its contents")
        return tensors, parse_json(text)
    except FileNotFoundError as error:
        raise UnusableRun(path, f"{path} is missing") from error
    except OSError as error:
        raise UnusableRun(path, f"{path} is not readable ({error.strerror or error})") from error
    except SafetensorError as error:
        raise UnusableRun(path, f"{path} is damaged or not a file of this program (no valid safetensors)") from error
    except (AttributeError, KeyError, TypeError, ValueError, RuntimeError, MemoryError) as error:
        # Foreign text may have line breaks and any length.
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UnusableRun(path, f"{path} is damaged or not a file of this program ({reason})") from error


def load_newest(
    paths: tuple[Path, Path], check: Callable[[Path, Tensors, Metadata], None]
) -> tuple[Tensors, Metadata, str] | None:
    """Return tensors and metadata of the newest good file, and what is wrong with a newer one; None if none exists.

    `paths` name the newest file and the one before it. The latter replaces a bad newest file, which would otherwise
    overwrite it at the next write. `check` raises ValueError if a file's contents are of no use; its other errors pass
    through. Raises PIEError if files exist but none is good, or the bad one cannot be replaced.
    """
    problems = []
    for path in paths:
        try:
            tensors, metadata = load_tensors(path)
            check(path, tensors, metadata)
        except UnusableRun as error:
            problems.append(error.problem)
        except ValueError as error:
            problems.append(f"{path} is not what it should be ({error})")
        else:
            if problems:
                try:
                    path.replace(paths[0])
                except OSError as error:
                    reason = error.strerror or error
                    raise PIEError(f"{problems[0]} and cannot be replaced ({reason}); remove it") from error
            return tensors, metadata, "; ".join(problems)
    if not any(path.exists() for path in paths):
        return None
    raise UnusableRun(paths[0], f"{'; '.join(problems)}; nothing is left to go on from")


def check_tensors(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> None:
    """Raise ValueError unless `tensors` have the names, types and shapes of `expected`, and are finite.

    Copying into a model would silently turn float16 into float32, or integers into floats.
    """
    if differing := tensors.keys() ^ expected.keys():
        name = min(differing)
        raise ValueError(f"the tensor {name!r} is {'missing' if name in expected else 'not one of the model'}")
    for name, tensor in sorted(tensors.items()):
        found, wanted = (f"{str(t.dtype).removeprefix('torch.')} {tuple(t.shape)}" for t in (tensor, expected[name]))
        if found != wanted:
            raise ValueError(f"the tensor {name!r} is {found} instead of {wanted}")
        if not tensor.isfinite().all():
            raise ValueError(f"the tensor {name!r} has values that are not finite")


def digest(tensors: Mapping[str, Tensor], text: str) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of the tensors, and the metadata's text."""
    hashed = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        hashed.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        hashed.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return hashed.hexdigest()
