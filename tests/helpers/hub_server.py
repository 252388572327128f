"""A small Hugging Face Hub on the loopback, for the real client: what it answers is what the Hub's answers look like.

Weights go the Hub's way for large files: `resolve` redirects to a storage address, whose file may be asked for in parts.
"""

import base64
import hashlib
import json
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

LARGE = (".safetensors", ".onnx", ".bin")
CLIENTS_OWN = "/api/agent-harnesses"  # asked in some environments, for the client's user agent
RESOLVE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")


class Hub:
    """The Hub's content, its bad days, and what it was asked."""

    def __init__(self) -> None:
        self.commits: dict[tuple[str, str], dict[str, bytes]] = {}  # (repository, commit) -> file -> content
        self.branches: dict[tuple[str, str], str] = {}
        self.stored: dict[str, bytes] = {}  # large contents by sha256
        self.refusals: dict[str, tuple[int, str | None]] = {}  # repository -> status, the Hub's error code
        self.cut_at: int | None = None  # the next large download breaks off after so many bytes
        self.seconds = 0.0  # that a large download takes at least
        self.asked: list[tuple[str, str, str | None]] = []  # method, path, range
        self.created: list[dict[str, Any]] = []
        self.url = ""
        self.storage = ""

    def commit(self, repo: str, files: dict[str, bytes], branch: str = "main") -> str:
        """Add a commit to a branch."""
        digest = hashlib.sha1(repr((repo, sorted(files.items()), len(self.commits))).encode()).hexdigest()
        self.commits[repo, digest] = files
        self.branches[repo, branch] = digest
        return digest

    def downloads(self) -> list[tuple[str, str | None]]:
        """Paths and ranges of what was fetched."""
        return [(path, part) for method, path, part in self.asked if method == "GET"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: Hub

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""

    def do_HEAD(self) -> None:
        self._note()
        self._resolve()

    def do_GET(self) -> None:
        self._note()
        if self.path.startswith("/storage/"):
            self._stored(self.hub.stored[self.path.removeprefix("/storage/")])
        else:
            self._resolve()

    def do_POST(self) -> None:
        self._note()
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            self.hub.created.append(asked)
            self._json({"url": f"{self.hub.url}/{asked['organization']}/{asked['name']}"})
        elif self.path == "/api/validate-yaml":
            assert json.loads(body)["content"].startswith("---\n")
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            paths = [file["path"] for file in json.loads(body)["files"]]
            modes = ["lfs" if path.endswith(LARGE) else "regular" for path in paths]
            self._json(
                {"files": [{"path": path, "uploadMode": mode, "shouldIgnore": False} for path, mode in zip(paths, modes, strict=True)]}
            )
        elif self.path.endswith("/info/lfs/objects/batch"):
            objects = json.loads(body)["objects"]
            answers = [{**one, "actions": {"upload": {"href": f"{self.hub.storage}/storage/{one['oid']}"}}} for one in objects]
            self._json({"transfer": "basic", "objects": answers})
        else:
            self._commit([json.loads(line) for line in body.splitlines()])

    def do_PUT(self) -> None:
        self._note()
        content = self.rfile.read(int(self.headers["Content-Length"]))
        oid = self.path.removeprefix("/storage/")
        assert hashlib.sha256(content).hexdigest() == oid
        self.hub.stored[oid] = content
        self._json({})

    def _commit(self, lines: list[dict[str, Any]]) -> None:
        repo = self.path.removeprefix("/api/models/").partition("/commit/")[0]
        files = {line["value"]["path"]: base64.b64decode(line["value"]["content"]) for line in lines if line["key"] == "file"}
        files |= {line["value"]["path"]: self.hub.stored[line["value"]["oid"]] for line in lines if line["key"] == "lfsFile"}
        commit = self.hub.commit(repo, files)
        self._json({"commitUrl": f"{self.hub.url}/{repo}/commit/{commit}", "commitOid": commit})

    def _resolve(self) -> None:
        match = RESOLVE.fullmatch(self.path)
        repo, revision, file = match.groups() if match else ("", "", "")
        if repo in self.hub.refusals:
            return self._refuse(*self.hub.refusals[repo])
        if not any(known == repo for known, _ in self.hub.commits):
            return self._refuse(401, "RepoNotFound")  # what the Hub says to someone who is not logged in
        commit = self.hub.branches.get((repo, revision), revision)
        if (repo, commit) not in self.hub.commits:
            return self._refuse(404, "RevisionNotFound")
        content = self.hub.commits[repo, commit].get(file)
        headers = {"X-Repo-Commit": commit}
        if content is None:
            return self._refuse(404, "EntryNotFound", headers)
        if not file.endswith(LARGE):
            return self._send(200, content, {**headers, "ETag": f'"{hashlib.sha1(content).hexdigest()}"'})
        oid = hashlib.sha256(content).hexdigest()
        self.hub.stored[oid] = content
        linked = {"X-Linked-ETag": f'"{oid}"', "X-Linked-Size": str(len(content)), "Location": f"{self.hub.storage}/storage/{oid}"}
        return self._send(302, b"", {**headers, **linked})

    def _stored(self, content: bytes) -> None:
        start = int(self.headers["Range"].removeprefix("bytes=").rstrip("-")) if "Range" in self.headers else 0
        part = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"} if start else {}
        cut, self.hub.cut_at = self.hub.cut_at, None
        time.sleep(self.hub.seconds)
        self._send(206 if start else 200, content[start:], part, cut)

    def _refuse(self, status: int, code: str | None, headers: dict[str, str] | None = None) -> None:
        self._send(status, b"", {**(headers or {}), **({"X-Error-Code": code, "X-Error-Message": "no"} if code else {})})

    def _json(self, answer: object) -> None:
        self._send(200, json.dumps(answer).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, content: bytes, headers: dict[str, str], cut_at: int | None = None) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content[:cut_at])
        if cut_at is not None:
            self.close_connection = True

    def _note(self) -> None:
        if self.path != CLIENTS_OWN:
            self.hub.asked.append((self.command, self.path, self.headers.get("Range")))


@contextmanager
def serving() -> Iterator[Hub]:
    """A Hub that answers at `hub.url`, its storage at another address, until the block ends."""
    hub = Hub()
    with _server(hub) as hub.url, _server(hub) as hub.storage:
        yield hub


@contextmanager
def _server(hub: Hub) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("OneHub", (Handler,), {"hub": hub}))
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
