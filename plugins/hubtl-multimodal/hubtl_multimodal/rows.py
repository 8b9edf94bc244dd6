"""Hold rows of several modalities. Encoders that do not learn read their tokens from the cache."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl.modalities.rows import Arrays, ReadRows
from hubtl_multimodal import frozen
from hubtl_multimodal.encoders.base import ModalityEncoder

LOST_TOKENS = {"weak": 0.0, "strong": 0.2}  # share of a frozen encoder's tokens that a view hides


class MultimodalSet(ReadRows):
    """Hold the rows of one split under one view, as ``hubtl.data.rows.Rows``; see ``hubtl.modalities.rows.ReadRows``.

    Args:
        *rows, **how: as ``ReadRows`` takes them.
        still: encoders that do not learn: their tokens are made once, in half precision, and stand for the inputs.
    """

    def __init__(self, *rows: Any, still: Mapping[str, ModalityEncoder] | None = None, **how: Any) -> None:
        self._frozen = dict(still or {})
        self._tokens: dict[str, tuple[Tensor, Tensor]] = {}
        super().__init__(*rows, **how)

    def corrupted(self, modality: str, severity: int) -> "MultimodalSet":
        other = super().corrupted(modality, severity)
        assert isinstance(other, MultimodalSet)
        other._tokens = {}
        return other

    def tensors_of(self, modality: str, arrays: Arrays, index: np.ndarray) -> dict[str, Tensor]:
        if modality not in self._frozen:
            return super().tensors_of(modality, arrays, index)
        values, mask = self._encodings(modality)
        at = torch.from_numpy(index)
        return {f"{modality}.tokens": values[at], f"{modality}.mask": mask[at]}

    def view_of(
        self, modality: str, arrays: Arrays, index: np.ndarray, name: str, draws: Sequence[np.random.Generator]
    ) -> dict[str, Tensor]:
        """Return a random view of each row; of a frozen encoder's tokens some are hidden."""
        if modality not in self._frozen:
            return super().view_of(modality, arrays, index, name, draws)
        plain = self.tensors_of(modality, arrays, index)
        mask = plain[f"{modality}.mask"].clone()
        for row, rng in enumerate(draws):
            hidden = torch.from_numpy(rng.random(mask.shape[1]) < LOST_TOKENS[name])
            hidden[0] = False  # what stands for the whole text or sound in many encoders
            mask[row] &= ~hidden
        return {f"{modality}.tokens": plain[f"{modality}.tokens"], f"{modality}.mask": mask}

    def _encodings(self, modality: str) -> tuple[Tensor, Tensor]:
        """Return a frozen encoder's tokens [n, t, d] and their mask. They cover every row, in half precision."""
        if modality not in self._tokens:
            data = self.mark([modality], [self._spoiled.get(modality)])
            self._tokens[modality] = frozen.tokens(self._frozen[modality], len(self), data, self.name, self.inputs_of)
        return self._tokens[modality]
