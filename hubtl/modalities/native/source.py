"""Where a model of another library lies: timm's registry, a folder, or the Hub."""

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class Source:
    """Locate a model's weights and configuration."""

    shown: str  # as the user gave it
    library: Literal["timm", "transformers"]
    where: str  # for the library's own loader
    config: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)  # base_model, revision, license
    revision: str | None = None
