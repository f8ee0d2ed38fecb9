"""Models on the Hugging Face Hub, at hf://owner/name or hf://owner/name@revision: huggingface_hub fetches them."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

from pie_cli.errors import PIEError, UnusableRun, UsageError
from pie_cli.models.base import Autoencoder
from pie_cli.runs.folder import SHARED_WEIGHTS, Run

LONGEST = 200  # characters of a foreign message that are shown


@dataclass(frozen=True)
class HubPlace:
    """Where a model is on the Hub.

    Arguments:
        repository: "owner/name".
        revision: a branch, tag or commit; None is the main branch.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"hf://{self.repository}" + (f"@{self.revision}" if self.revision else "")

    @classmethod
    def of(cls, place: Path | str) -> HubPlace | None:
        """Return what hf://owner/name means; None if it is a folder. Raises UsageError for another form of hf://.

        Example:
            >>> print(HubPlace.of("hf://owner/name@v1"), HubPlace.of("results/own"))
            hf://owner/name@v1 None
        """
        scheme, _, path = Path(place).as_posix().partition("/")  # a Path keeps only one of the two slashes
        if scheme != "hf:":
            return None
        path = path.lstrip("/")
        repository, at, revision = path.partition("@")
        if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository, re.ASCII) or (at and not revision):
            raise UsageError(f"hf://{path} is not a model: write hf://owner/name or hf://owner/name@revision")
        return cls(repository, revision or None)


@dataclass(frozen=True)
class FetchedRun(Run):
    """What the Hub has of a run, its configuration and its weights, in huggingface_hub's cache."""

    place: HubPlace | None = None

    def load_model(self, device: torch.device | str = "cpu") -> Autoencoder:
        with _blaming_the_copy(self.place, self.folder):
            return super().load_model(device)


def fetched_run(place: HubPlace, offline: bool = False) -> FetchedRun:
    """Return the run at a place on the Hub; `offline` takes it from the cache alone, as HF_HUB_OFFLINE does.

    Raises UsageError without the extra `hub`, PIEError if the model cannot be fetched or is not one of this program.
    """
    folder = _fetch(place, "config.json", offline).parent
    with _blaming_the_copy(place, folder):
        config = Run.open(folder).config  # before its weights are fetched: the model may be anyone's
    # The weights of the same commit, even if another one has been pushed in between.
    _fetch(place, SHARED_WEIGHTS, offline, commit=folder.name)
    return FetchedRun(folder, config, place=place)


def _fetch(place: HubPlace, name: str, offline: bool, commit: str | None = None) -> Path:
    """Return where a file of a repository lies in the cache, in a folder with the name of its commit."""
    try:
        import huggingface_hub as hub
    except ImportError as error:
        extra = "pip install 'pseudo-invertible-encoder[hub]'"
        raise UsageError(f"{place} needs the extra: {extra}") from error
    with _quiet():
        try:
            revision = commit or place.revision
            return Path(hub.hf_hub_download(place.repository, name, revision=revision, local_files_only=offline))
        except Exception as error:  # HTTP, files, threads: whatever a foreign library meets
            raise _told(error, place, name, offline) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave out the library's warnings, such as one for each attempt: an error says what is wrong in the end."""
    from huggingface_hub.utils import logging

    level = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.set_verbosity(level)


def _told(error: Exception, place: HubPlace, name: str, offline: bool) -> PIEError:
    """Return an error of huggingface_hub in the form that a user can mend."""
    from huggingface_hub import errors
    from huggingface_hub.constants import HF_HUB_OFFLINE

    if isinstance(error, errors.GatedRepoError):
        return PIEError(f"{place} is given to those who ask its owner: do so on its page, then log in: hf auth login")
    if isinstance(error, errors.RepositoryNotFoundError):
        return PIEError(f"{place} does not exist or is private; check its name, or log in: hf auth login")
    if isinstance(error, errors.RevisionNotFoundError):
        return PIEError(f"hf://{place.repository} has no revision {place.revision}; check its branches and tags")
    if isinstance(error, errors.LocalEntryNotFoundError):
        if offline or HF_HUB_OFFLINE:
            how = "`offline`" if offline else "HF_HUB_OFFLINE"
            return PIEError(f"{place} is not in the cache, and {how} forbids fetching it; fetch it once without")
        error = error.__cause__ if isinstance(error.__cause__, Exception) else error
    elif isinstance(error, errors.EntryNotFoundError):
        return PIEError(f"{place} has no {name}, so it is no model of this program; check its name")
    elif isinstance(error, errors.HFValidationError):
        return UsageError(f"{place} is not a model: its name is not one that the Hub allows; check it")
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:LONGEST] or type(error).__name__
    return PIEError(f"cannot fetch {place}: {reason}; try again, or give a folder that has it")


@contextmanager
def _blaming_the_copy(place: HubPlace | None, folder: Path) -> Iterator[None]:
    """Make an unusable file within the block one of a copy, which can be fetched again."""
    try:
        yield
    except UnusableRun as error:
        # Below the snapshots of all commits lie the contents that they link to.
        advice = f"remove {folder.parents[1]} to fetch it again, or tell its owner"
        raise PIEError(f"{place} is not a sound model of this program: {error.problem}; {advice}") from error
