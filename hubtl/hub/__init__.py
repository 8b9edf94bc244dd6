"""Push run directories to the Hub and pull them, by huggingface_hub."""

from hubtl.hub.amend import Amended as Amended
from hubtl.hub.amend import amend as amend
from hubtl.hub.amend import card_at as card_at
from hubtl.hub.names import split_revision as split_revision
from hubtl.hub.pull import pull as pull
from hubtl.hub.push import PushResult as PushResult
from hubtl.hub.push import check_push as check_push
from hubtl.hub.push import check_token as check_token
from hubtl.hub.push import push as push

__all__ = [
    "Amended",
    "PushResult",
    "amend",
    "card_at",
    "check_push",
    "check_token",
    "pull",
    "push",
    "split_revision",
]
