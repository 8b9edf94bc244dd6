"""Define recipe keys that this package's strategies set unless the user does."""

from typing import Any

DEFAULTS: dict[str, Any] = {
    "model.bottleneck": 0,  # the fusion projects already
    "optim.name": "adamw",
    "optim.lr": 1e-3,
    "optim.weight_decay": 0.05,
    "optim.schedule": "cosine",
    "optim.warmup_steps": 20,  # of each phase
    "optim.clip_norm": 1.0,
}
