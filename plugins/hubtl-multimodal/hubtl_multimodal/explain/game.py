"""A prediction as a game: tokens and modalities are the players, and may be taken away."""

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
    """One row whose encoders have run once; what is asked again and again is only the fusion.

    A token is taken away by its mask, and a modality that has none left is absent, as it was for rows in training.

    Attributes:
        present: the modalities that the row has.
        places: modality -> positions of its real tokens in the sequence of its encoder.
        tokens: modality -> how many real tokens it has.
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
        """All tokens left, ``n`` times."""
        return {m: torch.ones(n, count, dtype=torch.bool) for m, count in self.tokens.items()}

    @torch.no_grad()
    def logits(self, kept: Kept) -> Tensor:
        """Logits [n, c], on the CPU, with the tokens that are left."""
        n = len(next(iter(kept.values())))
        found = [self._some({m: mask[start : start + ROWS] for m, mask in kept.items()}) for start in range(0, n, ROWS)]
        return torch.cat(found)

    def probabilities(self, kept: Kept) -> Tensor:
        """Probabilities [n, c]."""
        return self.logits(kept).softmax(dim=1)

    def log_odds(self, kept: Kept, index: int) -> Tensor:
        """Log-odds [n] of a class against all others: additive where probabilities saturate."""
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
