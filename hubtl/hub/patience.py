"""Ask a busy Hub again: after the time that it names, within bounds, and with a message.

huggingface_hub retries silently where it transfers files and lists them, for as long as the Hub wishes; elsewhere it
does not. The former is reported and bounded here, the latter is retried.
"""

import datetime
import email.utils
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from hubtl.settings import logger

T = TypeVar("T")
AGAIN = {429, 500, 502, 503, 504}
UNDONE = {429, 503}  # what surely was not carried out
TRIES = 4
LONGEST = 60.0  # seconds that a wish of the Hub is followed
SLOW = 180.0  # seconds without a byte, after which a connection counts as dead
BY_CLIENT = re.compile(r"/(preupload|tree|paths-info|resolve)/|\.git/info/lfs/")  # it asks there again on its own
_installed = False


def heed() -> None:
    """Make this process's clients report a busy Hub. They wait no longer than LONGEST."""
    global _installed
    from huggingface_hub import set_client_factory
    from huggingface_hub.utils import _http, httpx

    if _installed:
        return
    _installed = True
    before = _http._GLOBAL_CLIENT_FACTORY  # of the user, if this process has one of its own

    def made() -> httpx.Client:
        client = before()
        hooks = client.event_hooks
        client.event_hooks = {**hooks, "response": [*hooks.get("response", []), _heard]}
        if client.timeout == httpx.Timeout(None):
            client.timeout = httpx.Timeout(SLOW, connect=15.0)
        return client

    set_client_factory(made)


def patiently(call: Callable[[], T], *, again: set[int] = AGAIN) -> T:
    """Call the Hub, again where it is busy. huggingface_hub makes such calls only once."""
    from huggingface_hub.errors import HfHubHTTPError

    for tried in range(1, TRIES):
        try:
            return call()
        except HfHubHTTPError as error:
            response = error.response
            wish = wished(response.headers)
            if response.status_code not in again or BY_CLIENT.search(response.request.url.path):
                raise
            if (wait := 2.0 ** (tried - 1) if wish is None else wish) > LONGEST:
                raise
            logger.warning("asking it again in %s (%d of %d)", spoken(wait), tried, TRIES - 1)
            time.sleep(wait)
    return call()


def wished(headers: Mapping[str, str]) -> float | None:
    """Return the seconds that an answer asks to wait, or None. It asks by Retry-After or rate limit."""
    from huggingface_hub.utils import parse_ratelimit_headers

    limit = parse_ratelimit_headers(headers)
    if limit is not None and limit.remaining == 0:
        return float(limit.reset_in_seconds)
    said = headers.get("Retry-After", "").strip()
    if re.fullmatch(r"\d{1,12}", said, re.ASCII):
        return float(said)
    try:
        then = email.utils.parsedate_to_datetime(said)
    except ValueError:
        return None
    now = datetime.datetime.now(then.tzinfo)
    return max(0.0, (then - now).total_seconds())


def spoken(seconds: float) -> str:
    """Return a waiting time in words."""
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _heard(response: Any) -> None:
    """Report that the Hub is busy.

    It raises the client's error if the Hub asks to wait longer than the limit.
    """
    if response.status_code not in AGAIN:
        return
    from huggingface_hub.utils import hf_raise_for_status

    wish = wished(response.headers)
    why = "too many requests" if response.status_code == 429 else "it cannot answer now"
    asks = "" if wish is None else f", and asks to wait {spoken(wish)}"
    logger.warning("the Hub answers %d: %s%s", response.status_code, why, asks)
    if wish is not None and wish > LONGEST:
        response.read()
        hf_raise_for_status(response)
