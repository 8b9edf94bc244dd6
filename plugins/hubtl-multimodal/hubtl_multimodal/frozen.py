"""Extract tokens of frozen encoders once. hubtl's feature cache keeps them."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl.data import cache
from hubtl.data.features import structure_digest, weights_digest
from hubtl.settings import logger
from hubtl_multimodal.encoders.base import ModalityEncoder

ROWS = 64  # at a time


def tokens(
    encoder: ModalityEncoder, n: int, data: str, name: str, inputs: Callable[[str, np.ndarray], dict[str, Tensor]]
) -> tuple[Tensor, Tensor]:
    """Return rows' tokens [n, t, d] and their mask [n, t]. Tokens are in half precision.

    ``data`` identifies the rows, ``inputs(modality, rows)`` makes the encoder's inputs of some of them. The key holds
    the weights, the architecture, the preprocessing, and the data.
    """
    facts: dict[str, Any] = {
        "architecture": encoder.info.architecture,
        "structure": structure_digest(encoder),
        "weights": weights_digest(encoder.state_dict()),
        "input": encoder.info.input,
        "data": data,
        "versions": cache.installed("pillow", "torch", "timm", "transformers", "tokenizers", "soundfile", "scipy"),
        "tokens": True,
    }
    key = cache.key_of(facts)
    found = cache.get(key, n)
    if found is None:
        logger.info("features   %s: one pass of %s over %d rows", name, encoder.info.name, n)
        found = _made(encoder, n, inputs)
        shown = {"model": encoder.info.name, "name": name, "rows": n, "width": found.shape[1]}
        cache.put(key, found, facts | shown)
    long = found.shape[1] // (encoder.info.width + 1)
    values, mask = found[:, : long * encoder.info.width], found[:, long * encoder.info.width :]
    halves = torch.from_numpy(values.astype(np.float16)).reshape(n, long, encoder.info.width)
    return halves, torch.from_numpy(mask > 0)


@torch.no_grad()
def _made(encoder: ModalityEncoder, n: int, inputs: Callable[[str, np.ndarray], dict[str, Tensor]]) -> np.ndarray:
    """Return float32 [n, t * d + t]: tokens and mask of each row side by side."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    worker, modality = copy.deepcopy(encoder).to(device).eval(), encoder.info.modality
    whole: np.ndarray | None = None
    for start in range(0, n, ROWS):
        rows = np.arange(start, min(start + ROWS, n))
        out = worker({k: v.to(device) for k, v in inputs(modality, rows).items()})
        values, mask = out.values.float().flatten(1).cpu().numpy(), out.mask.float().cpu().numpy()
        if whole is None:
            whole = np.empty((n, values.shape[1] + mask.shape[1]), dtype=np.float32)
        whole[rows] = np.concatenate([values, mask], axis=1)
    assert whole is not None
    return whole
