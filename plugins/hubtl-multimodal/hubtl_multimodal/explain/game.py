"""Treat a prediction as a game: tokens and modalities are players that may be removed."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hubtl.modules import Classifier

if TYPE_CHECKING:
    from hubtl_multimodal.backbone import MultimodalBackbone

ROWS = 64  # subsets at a time

Kept = dict[str, Tensor]  # modality -> [n, t] bool, the tokens that are left


class Game:
    """Hold one row whose encoders have run once; only the fusion is evaluated repeatedly.

    A token is removed by its mask, and a modality without tokens is absent, as in some rows of training.

    Attributes:
        present: the modalities of the row.
        places: modality -> positions of its real tokens in the sequence of its encoder.
        tokens: modality -> number of real tokens.
    """

    def __init__(self, classifier: Classifier, inputs: Mapping[str, Tensor]) -> None:
        self.classifier = classifier
        backbone: MultimodalBackbone = classifier.encoder.backbone  # type: ignore[assignment]
        self.backbone = backbone
        with torch.no_grad():
            self.made = {m: backbone.tower(m)(inputs) for m in backbone.modalities}
        said = {m: inputs.get(f"{m}.present") for m in backbone.modalities}
        self.present = [m for m in backbone.modalities if said[m] is None or bool(said[m][0])]  # type: ignore[index]
        self.places = {m: torch.nonzero(self.made[m].mask[0])[:, 0] for m in self.present}
        self.tokens = {m: len(real) for m, real in self.places.items()}

    def everything(self, n: int = 1) -> Kept:
        """Return all tokens, ``n`` times."""
        return {m: torch.ones(n, count, dtype=torch.bool) for m, count in self.tokens.items()}

    @torch.no_grad()
    def logits(self, kept: Kept) -> Tensor:
        """Return logits [n, c], on the CPU, with the remaining tokens."""
        n = len(next(iter(kept.values())))
        found = [self._some({m: mask[start : start + ROWS] for m, mask in kept.items()}) for start in range(0, n, ROWS)]
        return torch.cat(found)

    def probabilities(self, kept: Kept) -> Tensor:
        """Return probabilities [n, c]."""
        return self.logits(kept).softmax(dim=1)

    def log_odds(self, kept: Kept, index: int) -> Tensor:
        """Return log-odds [n] of a class against all others: additive where probabilities saturate."""
        logits = self.logits(kept)
        others = torch.cat([logits[:, :index], logits[:, index + 1 :]], dim=1)
        return logits[:, index] - others.logsumexp(dim=1)

    def _some(self, kept: Kept) -> Tensor:
        n = len(next(iter(kept.values())))
        inputs: dict[str, Tensor] = {}
        for m, (values, mask) in self.made.items():
            left = mask.new_zeros(n, mask.shape[1])
            if m in kept:
                left[:, self.places[m]] = kept[m].to(left.device)
            inputs |= {
                f"{m}.tokens": values.expand(n, -1, -1),
                f"{m}.mask": left,
                f"{m}.present": left.any(dim=1),
            }
        logits: Tensor = self.classifier(inputs)
        return logits.float().cpu()
