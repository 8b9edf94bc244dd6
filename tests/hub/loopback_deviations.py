"""How the loopback Hub may differ from the Hub: answers, ids, headers and rights of other servers, and of what is no Hub."""

import gzip
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response

PAGE = "<!DOCTYPE html><html><body><form>Log in to the network</form></body></html>"
ANSWERS = {  # a fault that is an answer, though not one of a Hub
    "page": lambda: Response(PAGE, media_type="text/html; charset=utf-8"),
    "page-403": lambda: Response(PAGE, 403, media_type="text/html"),
    "page-404": lambda: Response(PAGE, 404, media_type="text/html"),
    "portal": lambda: RedirectResponse("/login", 302),
    "loop": lambda: RedirectResponse("/loop", 307),
    "empty": lambda: Response(b"", media_type="application/json"),
    "list": lambda: JSONResponse([]),
    "null": lambda: JSONResponse(None),
    "types": lambda: JSONResponse({"id": 5, "sha": 7, "siblings": "none", "url": 3, "files": None, "commitUrl": 1}),
    "not-gzip": lambda: Response(b"{}", headers={"Content-Encoding": "gzip"}, media_type="application/json"),
}


@dataclass
class Deviations:
    """Describe the deviations of a server."""

    relative_urls: bool = False  # in the answer to a commit
    silent_404: bool = False  # no X-Error-Code
    foreign_ids: bool = False  # of small files: not git's
    long_ids: bool = False  # commits and files have ids of 64 digits, as git's by SHA-256
    pull_requests: str = (
        "yes"  # or the refusal of one; "main": it commits to main; "unsaid": it does not say where it is
    )
    omits: dict[str, set[str]] = field(default_factory=dict)  # step -> keys that its answer lacks
    headers_off: set[str] = field(default_factory=set)  # of files
    moved: dict[str, str] = field(default_factory=dict)  # old name -> new name, with a redirect
    elsewhere: str | None = None  # another server, which every request of the API is sent on to
    page_size: int | None = None  # of a list of files
    zipped: bool = False  # files come with Content-Encoding: gzip
    who: Any = None  # the answer of whoami, in place of its own
    rights: dict[str, str] = field(default_factory=dict)  # repository -> "200", or the refusal of a write
    retry_after: str | None = None  # of 429 and 5xx
    unlisted: set[str] = field(default_factory=set)  # files that are there, though no list names them

    def put_right(self) -> None:
        """Be as the Hub is again."""
        for name, value in vars(Deviations()).items():
            setattr(self, name, value)

    def sent_on(self, request: Request, parts: dict[str, Any]) -> Response | None:
        """A redirect, of a repository that was renamed or to another server."""
        there = str(request.url).partition(request.url.netloc)[2]
        if self.elsewhere is not None:
            return RedirectResponse(self.elsewhere + there, 307)
        if (name := parts.get("repo")) in self.moved:
            new = self.moved[str(name)]
            return RedirectResponse(
                there.replace(str(name).removeprefix("datasets/"), new.removeprefix("datasets/"), 1), 307
            )
        return None

    def without(self, step: str, answer: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in answer.items() if key not in self.omits.get(step, ())}

    def told(self, headers: dict[str, str]) -> dict[str, str]:
        return {name: value for name, value in headers.items() if name not in self.headers_off}

    def packed(self, content: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        return (gzip.compress(content), headers | {"Content-Encoding": "gzip"}) if self.zipped else (content, headers)
