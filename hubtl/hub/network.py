"""Avoid a minute of retries where there is no network."""

from hubtl.hub.commits import admit_long
from hubtl.hub.patience import heed
from hubtl.settings import logger

_asked = False


def ready() -> None:
    """Prepare the client in this process; every call of the Hub begins with it."""
    heed()
    admit_long()


def mind_the_network() -> None:
    """Use the cache alone where the Hub does not answer.

    Its client would retry every file for a minute. Asked once in a process.
    """
    global _asked
    from huggingface_hub import constants, get_session, is_offline_mode
    from huggingface_hub.utils import httpx

    ready()
    if _asked or is_offline_mode():
        return
    _asked = True
    try:
        get_session().head(constants.ENDPOINT, timeout=5.0)
    except httpx.TransportError:
        logger.info("%s does not answer: using what is in the cache", constants.ENDPOINT)
        constants.HF_HUB_OFFLINE = True
    except httpx.HTTPError:
        return  # it answers, though not this
