"""Large files on the loopback Hub: LFS in one piece, LFS in parts, and xet, whose blocks and file lists are taken apart.

xet as its specification says: a client cuts files into chunks, packs chunks into xorbs (POST /v1/xorbs/default/{hash}),
and then says in a shard (POST /v1/shards) which chunks of which xorbs a file is made of. A file exists once its shard
has come; its content is put together here from the bytes that were sent, and found by its sha256 like any other blob.
"""

import hashlib
import json
import time
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

XET_TOKEN = "loopback-xet-token-0123456789"  # the Hub gives it for its own, and the storage takes no other
SHARD_HEADER, ENTRY = 48, 48  # bytes
VERIFIED, HASHED = 1 << 31, 1 << 30  # flags of a file in a shard: what follows its segments


class Storage:
    """Where large files go. ``received`` counts the bytes of content that came, by the way they came."""

    url: str
    xet: bool  # whether there is xet storage
    part_size: int | None  # of LFS in parts, in bytes; None: in one piece
    _blobs: dict[str, bytes]
    _parts: dict[str, dict[int, bytes]]
    _xorbs: dict[str, list[bytes]]
    received: dict[str, int]
    _refuse: Callable[[str], Response]

    def _lfs(self, request: Request, body: bytes, repo: str) -> Response:
        asked = json.loads(body)
        parts = self.part_size is not None and "multipart" in asked["transfers"]
        answers = [{"oid": o["oid"], "size": o["size"]} | self._actions(o, parts) for o in asked["objects"]]
        return JSONResponse({"transfer": "multipart" if parts else "basic", "objects": answers})

    def _actions(self, wanted: dict[str, Any], parts: bool) -> dict[str, Any]:
        oid, size = wanted["oid"], wanted["size"]
        if oid in self._blobs:
            return {}  # there already: the client sends nothing
        verify = {"href": f"{self.url}/verify"}
        if not parts or self.part_size is None:
            return {"actions": {"upload": {"href": f"{self.url}/lfs/{oid}"}, "verify": verify}}
        count = -(-size // self.part_size)
        header = {"chunk_size": str(self.part_size)}
        header |= {f"{i:05}": f"{self.url}/part/{oid}/{i}" for i in range(1, count + 1)}
        return {"actions": {"upload": {"href": f"{self.url}/complete/{oid}", "header": header}, "verify": verify}}

    def _put(self, request: Request, body: bytes, oid: str) -> Response:
        self._count("basic", body)
        return self._keep(oid, body)

    def _part(self, request: Request, body: bytes, oid: str, number: str) -> Response:
        self._count("multipart", body)
        self._parts.setdefault(oid, {})[int(number)] = body
        return Response(headers={"ETag": hashlib.md5(body).hexdigest()})

    def _complete(self, request: Request, body: bytes, oid: str) -> Response:
        named = json.loads(body)["parts"]
        held = self._parts.pop(oid, {})
        if any(hashlib.md5(held[p["partNumber"]]).hexdigest() != p["etag"] for p in named):
            return JSONResponse({"error": "a part has another ETag"}, 400)
        return self._keep(oid, b"".join(held[p["partNumber"]] for p in named))

    def _verify(self, request: Request, body: bytes) -> Response:
        asked = json.loads(body)
        return Response(status_code=200 if len(self._blobs.get(asked["oid"], b"")) == asked["size"] else 404)

    def _keep(self, oid: str, content: bytes) -> Response:
        if hashlib.sha256(content).hexdigest() != oid:
            return JSONResponse({"error": "wrong content"}, 400)
        self._blobs[oid] = content
        return Response()

    def _xet(self, request: Request, body: bytes, repo: str, rev: str) -> Response:
        if not self.xet:
            return self._refuse("404")
        facts = {"casUrl": self.url, "accessToken": XET_TOKEN, "exp": int(time.time()) + 3600}
        headers = zip(("X-Xet-Cas-Url", "X-Xet-Access-Token", "X-Xet-Token-Expiration"), facts.values(), strict=True)
        return JSONResponse(facts, headers={name: str(value) for name, value in headers})

    def _xorb(self, request: Request, body: bytes, key: str) -> Response:
        chunks = _chunks(body)
        self._count("xet", b"".join(chunks))
        new = key not in self._xorbs
        self._xorbs[key] = chunks
        return JSONResponse({"was_inserted": new})

    def _shard(self, request: Request, body: bytes) -> Response:
        for segments in _files(body):
            content = b"".join(b"".join(self._xorbs[key][start:end]) for key, start, end in segments)
            self._blobs[hashlib.sha256(content).hexdigest()] = content
        return JSONResponse({"result": 1})

    def _count(self, way: str, content: bytes) -> None:
        self.received[way] = self.received.get(way, 0) + len(content)


def _chunks(xorb: bytes) -> list[bytes]:
    """The chunks of a xorb: each has eight bytes before it, of which two lengths. Random content is not compressed."""
    found, at = [], 0
    while at + 8 <= len(xorb) and xorb[at] == 0:  # version; the footer begins with a letter
        packed, scheme = int.from_bytes(xorb[at + 1 : at + 4], "little"), xorb[at + 4]
        assert scheme == 0, "this Hub takes xet chunks that are not compressed: give the test random content"
        found.append(xorb[at + 8 : at + 8 + packed])
        at += 8 + packed
    return found


def _files(shard: bytes) -> list[list[tuple[str, int, int]]]:
    """Return the parts of a shard's files: for each its (xorb, first chunk, chunk after the last)."""
    found, at = [], SHARD_HEADER
    while shard[at : at + 32] != b"\xff" * 32:
        flags, count = (int.from_bytes(shard[at + i : at + i + 4], "little") for i in (32, 36))
        segments = [shard[at + ENTRY * i : at + ENTRY * (i + 1)] for i in range(1, count + 1)]
        found.append([(_key(s[:32]), *(int.from_bytes(s[i : i + 4], "little") for i in (40, 44))) for s in segments])
        at += ENTRY * (1 + count * (2 if flags & VERIFIED else 1) + bool(flags & HASHED))
    return found


def _key(raw: bytes) -> str:
    """A xet hash as text: four numbers of eight bytes, each of which begins with its low byte."""
    return "".join(f"{int.from_bytes(raw[i : i + 8], 'little'):016x}" for i in range(0, 32, 8))
