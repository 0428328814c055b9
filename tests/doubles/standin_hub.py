"""A stand-in for the hub on loopback: serves folders as the hub does, and misbehaves on request.

    with StandIn({"gpt2": tmp_path / "gpt2"}) as hub:
        hub.faults.append(Fault("model.safetensors", status=503, times=1))
        ... HF_ENDPOINT=hub.url ...
        assert hub.count("GET", "model.safetensors") == 2

It answers what huggingface_hub, transformers, sae-lens and we ask: HEAD and GET of files (in parts too),
what a model is, its files, sizes of paths. Whoever has a token may commit files. Standard library only.
"""

import base64
import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

LARGE = (".safetensors", ".pt", ".npz", ".bin")
"""Kept by SHA-256, as the hub keeps large files; all others by git's hash."""


@dataclass
class Fault:
    """What goes wrong with requests whose 'METHOD path' matches a pattern, the next `times` times."""

    pattern: str
    status: int | None = None
    code: str = ""
    """X-Error-Code that comes with the status."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers that come with the status."""
    stop_after: int | None = None
    """Bytes after which the connection ends."""
    wait_s: float = 0.0
    """Pause before the body."""
    wrong_bytes: bool = False
    refuses_parts: bool = False
    hangs_up: bool = False
    """Closes the connection instead of answering."""
    says_nothing: bool = False
    """Takes the request, and closes the connection after ten seconds or when the block ends."""
    body: bytes | None = None
    """Sent with status 200 in the place of the content."""
    times: int = 10**9


class StandIn:
    """Serves `repositories` (name to folder) until the block ends."""

    def __init__(self, repositories: Mapping[str, Path]):
        self.repositories = dict(repositories)
        self.faults: list[Fault] = []
        self.requests: list[tuple[str, str, str | None, int]] = []
        """Method, path, range and status of every answer."""
        self.tokens: set[str | None] = set()
        """Every Authorization that came."""
        self.page = 1000
        """How many files the hub lists in one answer."""
        self.ended = threading.Event()
        handler = type("BoundHandler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "StandIn":
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._server.shutdown()
        self._server.server_close()

    def count(self, method: str, part: str) -> int:
        return sum(m == method and part in path for m, path, _, _ in self.requests)

    def fault(self, request: str) -> Fault:
        for fault in self.faults:
            if fault.times > 0 and re.search(fault.pattern, request):
                fault.times -= 1
                return fault
        return Fault("")


def commit_of(folder: Path) -> str:
    """A commit that follows from the content."""
    return hashlib.sha1("".join(f"{name}{etag(folder / name)}" for name in files_of(folder)).encode()).hexdigest()


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def etag(path: Path) -> str:
    content = path.read_bytes()
    if path.name.endswith(LARGE):
        return hashlib.sha256(content).hexdigest()
    return hashlib.sha1(f"blob {len(content)}\0".encode() + content).hexdigest()


def describe(folder: Path, name: str) -> dict:
    path = folder / name
    found = {"type": "file", "path": name, "size": path.stat().st_size, "oid": etag(path)[:40]}
    large = {"lfs": {"oid": etag(path), "size": path.stat().st_size, "pointerSize": 134}}
    return found | (large if name.endswith(LARGE) else {})


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    hub: StandIn

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def _answer(self, body: bytes = b"") -> None:
        url = urlsplit(self.path)
        parts = [unquote(part) for part in url.path.split("/") if part]
        fault = self.hub.fault(f"{self.command} {unquote(url.path)}")
        if fault.hangs_up or fault.says_nothing:
            self._note(0)
            self.hub.ended.wait(10 if fault.says_nothing else 0)
            self.close_connection = True
            return None
        if fault.body is not None:
            return self._send(fault.body)
        if fault.status:
            return self._refuse(fault.status, fault.code, headers=fault.headers)
        api = parts[:2] in (["api", "models"], ["api", "datasets"])
        parts = parts[1:] if parts[:1] == ["datasets"] else parts
        repository, rest = self._repository(parts[2:] if api else parts)
        if repository is None:
            return self._refuse(404, "RepoNotFound") if parts else self._json({})
        if api:
            return self._api(repository, rest, parse_qs(url.query), body)
        file = repository.joinpath(*rest[2:]) if rest[:1] == ["resolve"] else repository / "no such file"
        if rest[1:2] not in (["main"], [commit_of(repository)]):
            return self._refuse(404, "RevisionNotFound")
        return self._file(file, repository, fault) if file.is_file() else self._refuse(404, "EntryNotFound", repository)

    def _repository(self, parts: list[str]) -> tuple[Path | None, list[str]]:
        for n in (1, 2):
            name = "/".join(parts[:n])
            if len(parts) >= n and name in self.hub.repositories:
                return self.hub.repositories[name], parts[n:]
        return None, parts

    def _name(self, repository: Path) -> str:
        return next(name for name, folder in self.hub.repositories.items() if folder == repository)

    def _api(self, repository: Path, rest: list[str], query: dict, body: bytes) -> None:
        names = files_of(repository)
        if rest[:1] == ["paths-info"]:
            wanted = json.loads(body)["paths"] if body[:1] == b"{" else parse_qs(body.decode())["paths"]
            return self._json([describe(repository, name) for name in wanted if name in names])
        if rest[:1] in (["preupload"], ["commit"]):
            return self._commit(repository, rest[0], body)
        if rest[:1] == ["tree"]:
            inside = "/".join(rest[2:])
            mine = [name for name in names if not inside or name.startswith(f"{inside}/")]
            if inside and not mine:
                return self._refuse(404, "EntryNotFound", repository)
            if query.get("recursive", ["false"])[0].lower() != "true":
                mine = [name for name in mine if "/" not in name.removeprefix(inside).strip("/")]
            return self._page([describe(repository, name) for name in mine], query)
        siblings = [{"rfilename": name} for name in names]
        return self._json(
            {"id": self._name(repository), "sha": commit_of(repository), "siblings": siblings, "tags": []}
        )

    def _commit(self, repository: Path, step: str, body: bytes) -> None:
        """Take files as the hub takes small ones: in the commit itself. The hub takes large ones apart from it."""
        if not self.headers.get("Authorization"):
            return self._refuse(401, "")
        if step == "preupload":
            how = {"uploadMode": "regular", "shouldIgnore": False}
            return self._json({"files": [{"path": file["path"]} | how for file in json.loads(body)["files"]]})
        for line in map(json.loads, body.splitlines()):
            path = repository / line["value"].get("path", "")
            if line["key"] == "file":
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(base64.b64decode(line["value"]["content"]))
            elif line["key"] == "deletedFile":
                path.unlink()
        own, commit = self._name(repository), commit_of(repository)
        return self._json({"commitUrl": f"{self.hub.url}/{own}/commit/{commit}", "commitOid": commit})

    def _file(self, path: Path, repository: Path, fault: Fault) -> None:
        content = path.read_bytes()
        start, stop, status = 0, len(content), 200
        asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if asked and self.command == "GET" and not fault.refuses_parts:
            start, stop, status = int(asked[1]), min(len(content), int(asked[2] or len(content)) + 1), 206
        self._start(status)
        tag = etag(path)
        headers = {"ETag": f'"{tag}"', "X-Repo-Commit": commit_of(repository), "Content-Length": stop - start}
        headers |= {"X-Linked-Etag": f'"{tag}"', "X-Linked-Size": len(content)} if len(tag) == 64 else {}
        headers |= {"Content-Range": f"bytes {start}-{stop - 1}/{len(content)}"} if status == 206 else {}
        self._end(headers | {"Accept-Ranges": "bytes"})
        if self.command == "HEAD":
            return
        time.sleep(fault.wait_s)
        body = content[start:stop]
        if fault.wrong_bytes:
            body = body[:-1] + bytes([body[-1] ^ 1])
        if fault.stop_after is not None:
            self.close_connection = True
            body = body[: fault.stop_after]
        self._write(body)

    def _page(self, found: list[dict], query: dict) -> None:
        start = int(query.get("cursor", ["0"])[0])
        stop = start + self.hub.page
        url = f"{self.hub.url}{urlsplit(self.path).path}?cursor={stop}"
        self._json(found[start:stop], {"Link": f'<{url}>; rel="next"'} if stop < len(found) else {})

    def _json(self, found: object, headers: Mapping[str, str] | None = None) -> None:
        self._send(json.dumps(found).encode(), headers)

    def _send(self, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self._start(200)
        self._end({"Content-Type": "application/json", "Content-Length": len(body)} | dict(headers or {}))
        if self.command != "HEAD":
            self._write(body)

    def _refuse(
        self, status: int, code: str, repository: Path | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._start(status)
        commit = {"X-Repo-Commit": commit_of(repository)} if repository else {}
        self._end(commit | {"X-Error-Code": code, "X-Error-Message": code, "Content-Length": 0} | dict(headers or {}))

    def _start(self, status: int) -> None:
        self._note(status)
        self.send_response(status)

    def _note(self, status: int) -> None:
        self.hub.tokens.add(self.headers.get("Authorization"))
        self.hub.requests.append((self.command, unquote(self.path), self.headers.get("Range"), status))

    def _end(self, headers: Mapping[str, object]) -> None:
        for name, value in headers.items():
            self.send_header(name, str(value))
        self.end_headers()

    def _write(self, body: bytes) -> None:
        try:
            self.wfile.write(body)
        except OSError:  # the client has had enough
            self.close_connection = True
