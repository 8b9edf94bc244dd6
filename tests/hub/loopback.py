"""A Hub on this machine: real HTTP, the protocol of huggingface_hub, in memory, with answers that can be made to fail.

hub = start()
environment = env_for(hub, tmp_path / "home")       # for a subprocess: huggingface_hub reads it when imported
hub.faults["commit"] = "503"                        # a step of the protocol -> a refusal
hub.files("user/repo")                              # path -> bytes, of a branch, a tag or a commit
hub.files("spaces/user/repo")                       # of a Space, and "datasets/user/repo" of a dataset
hub.stop()
"""

import base64
import hashlib
import json
import os
import re
import socket
import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote

import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from tests.hub import loopback_cards
from tests.hub.loopback_deviations import ANSWERS, Deviations
from tests.hub.loopback_storage import XET_TOKEN, Storage

TOKEN = "loopback-token-0123456789"  # does not begin with hf_: nobody may rely on that
REFUSALS: dict[str, tuple[int, str | None, str]] = {  # status, X-Error-Code, X-Error-Message
    "401": (401, None, "Invalid username or password."),
    "bad-token": (401, None, "Invalid credentials in Authorization header"),
    "403": (403, None, "You do not have write access"),
    "gated": (403, "GatedRepo", "Access to this model is restricted"),
    "gated-401": (401, "GatedRepo", "Access to this model is restricted"),
    "disabled": (403, None, "Access to this resource is disabled."),
    "repo": (404, "RepoNotFound", "Repository not found"),
    "revision": (404, "RevisionNotFound", "Invalid rev id"),
    "entry": (404, "EntryNotFound", "Entry not found"),
    "404": (404, None, ""),
    "409": (409, None, "Conflict"),
    "413": (413, None, "Too large"),
    "429": (429, None, "Too many requests"),
    "400": (400, None, "Bad request"),
    "500": (500, None, "Internal error"),
    "501": (501, None, "Not implemented"),
    "502": (502, None, "Bad gateway"),
    "503": (503, None, "Service unavailable"),
    "504": (504, None, "Gateway timeout"),
}
# A step of the protocol is named by the first pattern that its path matches.
STEPS = {
    "whoami": r"/api/whoami-v2",
    "create": r"/api/repos/create",
    "yaml": r"/api/validate-yaml",
    "preupload": r"/api/models/(?P<repo>[^/]+/[^/]+)/preupload/(?P<rev>.+)",
    "commit": r"/api/models/(?P<repo>[^/]+/[^/]+)/commit/(?P<rev>.+)",
    "branch": r"/api/models/(?P<repo>[^/]+/[^/]+)/branch/(?P<rev>.+)",
    "rights": r"/api/models/(?P<repo>[^/]+/[^/]+)/auth-check/write",
    "tree": r"/api/models/(?P<repo>[^/]+/[^/]+)/tree/(?P<rev>[^/]+)(/(?P<path>.*))?",
    "paths": r"/api/models/(?P<repo>[^/]+/[^/]+)/paths-info/(?P<rev>[^/]+)",
    "xet": r"/api/models/(?P<repo>[^/]+/[^/]+)/xet-(write|read)-token/(?P<rev>.+)",
    "info": r"/api/models/(?P<repo>[^/]+/[^/]+)(/revision/(?P<rev>.+))?",
    "lfs": r"/(?P<repo>[^/]+/[^/]+)\.git/info/lfs/objects/batch",
    "put": r"/lfs/(?P<oid>[0-9a-f]+)",
    "part": r"/part/(?P<oid>[0-9a-f]+)/(?P<number>\d+)",
    "complete": r"/complete/(?P<oid>[0-9a-f]+)",
    "xorb": r"/v1/xorbs/default/(?P<key>[0-9a-f]+)",
    "shard": r"/(v1/)?shards",
    "verify": r"/verify",
    "login": r"/login",
    "resolve": r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<rev>[^/]+)/(?P<path>.+)",
}
WRITES = {"create", "preupload", "commit", "branch", "lfs", "xet", "xorb", "shard"}


@dataclass
class Repo:
    private: bool = False
    refs: dict[str, str] = field(default_factory=dict)  # branch, tag or refs/pr/N -> commit
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)  # commit -> path -> content
    messages: list[str] = field(default_factory=list)
    changes: list[list[str]] = field(default_factory=list)  # the paths of each commit that came over HTTP


@dataclass
class Hub(Storage, Deviations):
    """The server and what is on it. ``faults`` may change between two requests."""

    url: str = ""
    token: str = TOKEN
    repos: dict[str, Repo] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)  # method, path with query
    faults: dict[str, str] = field(
        default_factory=dict
    )  # step, or "step:file", "step:oid", "part:oid/number" -> key of REFUSALS or ANSWERS, or "cut"; "503 x2": twice
    lfs_over: int | None = None  # bytes; None: *.safetensors go through LFS, whatever their size
    xet: bool = False  # whether there is xet storage
    part_size: int | None = None  # bytes of a part, for LFS in parts
    card_errors: list[str] = field(default_factory=list)  # against any card, besides those of the rules
    damaged: set[str] = field(default_factory=set)  # paths that come with another byte than was stored
    hooks: dict[str, Callable[[], object]] = field(
        default_factory=dict
    )  # as of faults -> called before its next request, once
    received: dict[str, int] = field(default_factory=dict)  # basic, multipart, xet -> bytes of content
    stop: Callable[[], None] = lambda: None
    _blobs: dict[str, bytes] = field(default_factory=dict)
    _parts: dict[str, dict[int, bytes]] = field(default_factory=dict)
    _xorbs: dict[str, list[bytes]] = field(default_factory=dict)

    def add(self, repo: str, files: dict[str, bytes], *, branch: str = "main", private: bool = False) -> str:
        """Commit files directly, as another client would have; returns the commit."""
        found = self.repos.setdefault(repo, Repo(private))
        return self._save(found, branch, {**found.commits.get(found.refs.get(branch, ""), {}), **files}, "added")

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        found = self.repos[repo]
        return found.commits[found.refs.get(revision, revision)]

    def reset(self) -> None:
        """Forget repositories, log and faults."""
        self.put_right()
        self.xet = False
        self.lfs_over = self.part_size = None
        stored = (self._blobs, self._parts, self._xorbs, self.received)
        for kept in (self.repos, self.log, self.faults, self.hooks, self.damaged, self.card_errors, *stored):
            kept.clear()

    def _save(self, repo: Repo, ref: str, files: dict[str, bytes], message: str) -> str:
        repo.messages.append(message)
        digest = hashlib.sha256 if self.long_ids else hashlib.sha1
        commit = digest(f"{time.time_ns()}{len(repo.messages)}".encode()).hexdigest()
        repo.commits[commit] = files
        repo.refs[ref] = commit
        return commit

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        request = Request(scope, receive)
        path = scope["raw_path"].decode()
        self.log.append((request.method, unquote(path)))
        step, parts = _step(path)
        named = parts.get("path") or "/".join(parts[k] for k in ("oid", "number") if k in parts)
        fault = self._fault(f"{step}:{named}") or self._fault(step) or (step != "login" and self._fault("all"))
        self.hooks.pop(f"{step}:{named}", self.hooks.pop(step, lambda: None))()
        if fault == "cut":
            await receive()  # the request has begun to arrive
            receive.__self__.transport.abort()
            return
        body = await request.body()
        moved = self.sent_on(request, parts)
        answer = self._refuse(fault) if fault else moved or self._allow(step, parts, request)
        await (answer or getattr(self, f"_{step}")(request, body, **parts))(scope, receive, send)

    def _fault(self, step: str) -> str | None:
        """The fault of a step, once less if it is counted."""
        fault, times = [*self.faults.get(step, "").split(" x"), ""][:2]
        if times:
            self.faults[step] = f"{fault} x{int(times) - 1}"
        if times == "1":
            del self.faults[step]
        return fault or None

    def _refuse(self, fault: str) -> Response:
        if fault in ANSWERS:
            return ANSWERS[fault]()
        status, code, message = REFUSALS[fault]
        silent = self.silent_404 and status == 404
        headers = {"X-Error-Code": code} if code and not silent else {}
        if self.retry_after and (status == 429 or status >= 500):
            headers["Retry-After"] = self.retry_after
        return JSONResponse({"error": message}, status, headers | ({"X-Error-Message": message} if message else {}))

    def _allow(self, step: str, parts: dict[str, Any], request: Request) -> Response | None:
        """A refusal that follows from the token, the repository or the revision; None: go on."""
        given = request.headers.get("authorization")
        known = given == f"Bearer {XET_TOKEN if step in ('xorb', 'shard') else self.token}"
        if not step:
            return self._refuse("404")
        if given is not None and not known:
            return self._refuse("bad-token")
        if step in WRITES and not known:
            return self._refuse("401")
        if (name := parts.get("repo")) is None:
            return None
        repo = self.repos.get(name)
        if repo is None or (repo.private and not known):
            return self._refuse("repo" if known else "401")
        revision = parts.get("rev")
        fresh = step in ("preupload", "commit", "branch", "xet") and (revision == "main" or step == "branch")
        if revision is not None and revision not in repo.refs and revision not in repo.commits and not fresh:
            return self._refuse("revision")
        return None

    def _whoami(self, request: Request, body: bytes) -> Response:
        if "authorization" not in request.headers:
            return self._refuse("401")
        known = {"type": "user", "name": "user", "orgs": [], "auth": {"accessToken": {"role": "write"}}}
        return JSONResponse(known if self.who is None else self.who)

    def _rights(self, request: Request, body: bytes, repo: str) -> Response:
        right = self.rights.get(repo, "404")
        return Response() if right == "200" else self._refuse(right)

    def _create(self, request: Request, body: bytes) -> Response:
        asked = json.loads(body)
        name = f"{asked.get('organization') or 'user'}/{asked['name']}"
        name = f"spaces/{name}" if asked.get("type") == "space" else name
        if name in self.repos:
            return JSONResponse({"error": "exists", "url": f"{self.url}/{name}"}, 409)
        self.repos[name] = Repo(private=asked.get("visibility") == "private" or bool(asked.get("private")))
        return JSONResponse(self.without("create", {"url": f"{self.url}/{name}", "name": name}))

    def _yaml(self, request: Request, body: bytes) -> Response:
        found = [*self.card_errors, *loopback_cards.errors(json.loads(body)["content"])]
        return JSONResponse({"errors": [{"message": e} for e in found], "warnings": []}, 400 if found else 200)

    def _preupload(self, request: Request, body: bytes, repo: str, rev: str) -> Response:
        def large(file: dict[str, Any]) -> bool:
            return file["path"].endswith(".safetensors") if self.lfs_over is None else file["size"] > self.lfs_over

        files = json.loads(body)["files"]
        modes = [(f["path"], "lfs" if large(f) else "regular") for f in files]
        return JSONResponse({"files": [{"path": p, "uploadMode": m, "shouldIgnore": False} for p, m in modes]})

    def _commit(self, request: Request, body: bytes, repo: str, rev: str) -> Response:
        found = self.repos[repo]
        if request.query_params.get("create_pr") == "1" and self.pull_requests in REFUSALS:
            return self._refuse(self.pull_requests)
        files, message = dict(found.commits.get(found.refs.get(rev, rev), {})), ""
        operations = [json.loads(line) for line in body.splitlines()]
        for operation in operations:
            kind, value = operation["key"], operation["value"]
            if kind == "header":
                message = value["summary"]
                if value.get("parentCommit", found.refs.get(rev)) != found.refs.get(rev):
                    return JSONResponse({"error": "The branch has moved on"}, 412)
            elif kind == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif kind == "lfsFile":
                if value["oid"] not in self._blobs:
                    return JSONResponse({"error": f"{value['path']} was never uploaded"}, 400)
                files[value["path"]] = self._blobs[value["oid"]]
            elif kind == "deletedFile":
                del files[value["path"]]
        found.changes.append(sorted(o["value"]["path"] for o in operations if o["key"] != "header"))
        proposed = request.query_params.get("create_pr") == "1" and self.pull_requests != "main"
        number = 1 + sum(ref.startswith("refs/pr/") for ref in found.refs)
        commit = self._save(found, f"refs/pr/{number}" if proposed else rev, files, message)
        base = "" if self.relative_urls else self.url
        answer = {"success": True, "commitOid": commit, "commitUrl": f"{base}/{repo}/commit/{commit}"}
        if proposed and self.pull_requests != "unsaid":
            answer["pullRequestUrl"] = f"{self.url}/{repo}/discussions/{number}"
        return JSONResponse(self.without("commit", answer))

    def _branch(self, request: Request, body: bytes, repo: str, rev: str) -> Response:
        found = self.repos[repo]
        if rev in found.refs:
            return self._refuse("409")
        start = json.loads(body).get("startingPoint", "main")
        commit = found.refs.get(start, start)
        found.refs[rev] = commit if commit in found.commits else self._save(found, rev, {}, "start")
        return Response()

    def _tree(self, request: Request, body: bytes, repo: str, rev: str, path: str | None = None) -> Response:
        start = f"{path}/" if path else ""
        entries = [e for e in self._entries(repo, rev) if e["path"].startswith(start)]
        if request.query_params.get("recursive", "false").lower() != "true":
            names = {e["path"].removeprefix(start).partition("/")[0] for e in entries}
            kept = {e["path"]: e for e in entries}
            folder = {"type": "directory", "oid": _oid(b""), "size": 0}
            entries = [kept.get(start + name, folder | {"path": start + name}) for name in sorted(names)]
        if start and not entries:
            return self._refuse("entry")
        at, size = int(request.query_params.get("cursor", 0)), self.page_size or len(entries)
        more = {"cursor": str(at + size)}
        headers = (
            {"Link": f'<{request.url.include_query_params(**more)}>; rel="next"'} if at + size < len(entries) else {}
        )
        return JSONResponse(entries[at : at + size], headers=headers)

    def _paths(self, request: Request, body: bytes, repo: str, rev: str) -> Response:
        asked = parse_qs(body.decode()).get("paths", []) if b"=" in body else json.loads(body)["paths"]
        return JSONResponse([e for e in self._entries(repo, rev) if e["path"] in asked])

    def _entries(self, repo: str, rev: str) -> list[dict[str, Any]]:
        entries = []
        for path, content in sorted(self.files(repo, rev).items()):
            name = _long_oid(content) if self.long_ids else _oid(content + b"+" * self.foreign_ids)
            entry = {"type": "file", "path": path, "size": len(content), "oid": name}
            if path.endswith((".safetensors", ".parquet")):
                sha = hashlib.sha256(content).hexdigest()
                entry["lfs"] = {"oid": sha, "size": len(content), "pointerSize": 130}
            if path not in self.unlisted:
                entries.append(entry)
        return entries

    def _info(self, request: Request, body: bytes, repo: str, rev: str | None = None) -> Response:
        found = self.repos[repo]
        commit = found.refs.get(rev or "main", rev or "0" * 40)
        names = [{"rfilename": path} for path in found.commits.get(commit, {}) if path not in self.unlisted]
        facts = {
            "id": repo.removeprefix("spaces/").removeprefix("datasets/"),
            "modelId": repo,
            "sha": commit,
            "private": found.private,
            "siblings": names,
            "tags": [],
        }
        facts |= {"downloads": 0, "likes": 0, "gated": False, "disabled": False}
        return JSONResponse(self.without("info", facts))

    def _resolve(self, request: Request, body: bytes, repo: str, rev: str, path: str) -> Response:
        files = self.files(repo, rev)
        if path not in files:
            return self._refuse("entry")
        commit = self.repos[repo].refs.get(rev, rev)
        headers = {"ETag": f'"{_oid(files[path])}"', "X-Repo-Commit": commit}
        headers = self.told(headers)
        if request.method == "HEAD":
            return Response(headers=headers | self.told({"Content-Length": str(len(files[path]))}))
        content = files[path][:-1] + b"?" if path in self.damaged else files[path]
        content, headers = self.packed(content, headers)
        return Response(content, headers=headers, media_type="application/octet-stream")

    def _login(self, request: Request, body: bytes) -> Response:
        return self._refuse("page")


def start(*, certificate: Path | None = None, **settings: Any) -> Hub:
    """Start a Hub in a thread of this process; ``settings`` are fields of ``Hub``.

    With a ``certificate``, a PEM file with its key, it speaks https.
    """
    hub = Hub(**settings)
    listener = socket.create_server(("127.0.0.1", 0))
    hub.url = f"http{'s' if certificate else ''}://127.0.0.1:{listener.getsockname()[1]}"
    config = uvicorn.Config(
        hub, http="h11", ws="none", lifespan="off", log_level="critical", access_log=False, ssl_certfile=certificate
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)

    def stop() -> None:
        server.should_exit = True
        thread.join(timeout=5)
        listener.close()

    hub.stop = stop
    return hub


def env_for(hub: Hub, home: Path, *, token: str | None = None) -> dict[str, str]:
    """The environment of a process with this Hub and its own cache; ``token=""`` gives it no token."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "HUGGING_FACE_", "HUBTL_"))}
    environment |= {
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(home),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    return environment if token == "" else environment | {"HF_TOKEN": token or hub.token}


def _step(path: str) -> tuple[str, dict[str, Any]]:
    """The step of the protocol that a path belongs to. The parts of the path come with it."""
    kind = re.match("(/api)?/(spaces|datasets)/", path)
    plain = f"{'/api/models/' if kind[1] else '/'}{path[kind.end() :]}" if kind else path
    for step, pattern in STEPS.items():
        if match := re.fullmatch(pattern, plain):
            parts = {name: part and unquote(part) for name, part in match.groupdict().items()}
            return step, parts | ({"repo": f"{kind[2]}/{parts['repo']}"} if kind else {})
    return "", {}


def _oid(content: bytes) -> str:
    """git's name for a file."""
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _long_oid(content: bytes) -> str:
    """The same where git counts by SHA-256."""
    return hashlib.sha256(b"blob %d\0" % len(content) + content).hexdigest()
