"""Check that a token may write to a repository. It is checked before training or measuring for it."""

from collections.abc import Mapping
from typing import Any

from hubtl.errors import HubtlError
from hubtl.hub.faults import explain, is_page, status_of
from hubtl.hub.network import ready
from hubtl.hub.patience import patiently
from hubtl.settings import logger

MAY_WRITE = ("admin", "write", "contributor")  # roles in an organisation
WRITE = "repo.write"  # the permission of a fine-grained token


def check_access(repo: str, *, flag: str) -> None:
    """Raise HubtlError for a token that may not write to ``user/repo``. A refused token is one, too.

    A Hub that cannot be reached stops nothing: the push asks it again. ``flag`` is the flag that asked for the push.
    """
    from huggingface_hub import HfApi

    ready()
    api, what = HfApi(), f"a push to {repo} would fail"
    retry = f"try again, or leave {flag} out"
    try:
        who = patiently(api.whoami)
    except Exception as error:
        if status_of(error) in (401, 403) or is_page(error):
            raise explain(error, what, retry=retry) from error
        who = None
    try:
        patiently(lambda: api.auth_check(repo, write=True))
        return  # it is there, and the Hub says yes
    except Exception as error:
        if status_of(error) == 403 or is_page(error):
            raise explain(error, what, retry=retry) from error
    if who is None:
        logger.info("whether the token may write to %s cannot be asked: the push will show", repo)
    if why := denied(who, repo):
        raise HubtlError(
            f"{what}: {why}", hint=f"use a token with write access to {repo.partition('/')[0]}, then: {retry}"
        )


def denied(who: Any, repo: str) -> str | None:
    """Return why a token may not write to a repository. The Hub itself tells.

    None where it may or nothing is known.
    """
    owner = repo.partition("/")[0].lower()
    name, orgs = _of(who, "name"), _of(who, "orgs")
    token = _of(_of(who, "auth"), "accessToken")
    role = _of(token, "role")
    if role == "read":
        return "the token may only read"
    if role == "fineGrained" and isinstance(scoped := _of(_of(token, "fineGrained"), "scoped"), list):
        known = {str(_of(_of(s, "entity"), "name")).lower() for s in scoped if WRITE in (_of(s, "permissions") or ())}
        if not known & {owner, repo.lower()}:
            return f"the token is fine-grained, and not for writing to {owner}"
        return None
    if not isinstance(name, str) or not isinstance(orgs, list) or owner == name.lower():
        return None
    mine = {str(_of(org, "name")).lower(): _of(org, "roleInOrg") for org in orgs}
    if owner not in mine:
        return f"the token is of {name}, which is not {repo.partition('/')[0]} nor a member of it"
    if isinstance(mine[owner], str) and mine[owner] not in MAY_WRITE:
        return f"{name} may only read in {repo.partition('/')[0]} (its role there: {mine[owner]})"
    return None


def _of(value: Any, key: str) -> Any:
    return value.get(key) if isinstance(value, Mapping) else None
