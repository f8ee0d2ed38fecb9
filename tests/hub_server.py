"""The small part of the Hugging Face Hub that fetching needs: files of a repository at a revision, over HTTP."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar


@dataclass
class Hub:
    """Repositories, "owner/name": the files of each commit by name, and what commit each revision is."""

    commits: dict[str, dict[str, dict[str, bytes]]] = field(default_factory=dict)
    revisions: dict[str, dict[str, str]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)  # "GET config.json", …, since the last look
    address: str = ""

    def push(self, repository: str, files: dict[str, bytes], *revisions: str) -> str:
        """Add a commit, make it what `revisions` are, and return its hash."""
        content = b"".join(name.encode() + files[name] for name in sorted(files))
        commit = hashlib.sha1(content, usedforsecurity=False).hexdigest()
        self.commits.setdefault(repository, {})[commit] = files
        self.revisions.setdefault(repository, {}).update(dict.fromkeys((*revisions, commit), commit))
        return commit


class _Handler(BaseHTTPRequestHandler):
    hub: ClassVar[Hub]

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        owner, name, _, revision, *path = self.path.strip("/").split("/")
        repository, file = f"{owner}/{name}", "/".join(path)
        self.hub.asked.append(f"{self.command} {file}")
        if repository not in self.hub.commits:
            return self._refuse("RepoNotFound")
        if (commit := self.hub.revisions[repository].get(revision)) is None:
            return self._refuse("RevisionNotFound")
        if (content := self.hub.commits[repository][commit].get(file)) is None:
            return self._refuse("EntryNotFound", commit)
        self.send_response(200)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)
        return None

    def _refuse(self, code: str, commit: str = "") -> None:
        self.send_response(404)
        self.send_header("X-Error-Code", code)
        self.send_header("X-Repo-Commit", commit)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving() -> Iterator[Hub]:
    """Serve a hub of no repositories within the block."""
    hub = Hub()
    with ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": hub})) as server:
        hub.address = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield hub
        server.shutdown()
        thread.join()
