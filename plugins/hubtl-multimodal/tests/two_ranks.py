"""Worlds of several modalities for two real processes. One has rows that lack a modality."""

import os

import torch
from toy import domain, make


class LackingOnOneRank:
    """Rank 1 never sees ``missing``; every other process has all modalities in every row."""

    def __init__(self, cls, missing, kind="bottleneck", **options):
        self.cls, self.missing, self.kind, self.options = cls, missing, kind, options

    def needs_batchnorm(self):
        return False

    def strategy(self, *, plain=False):
        return make(self.cls, self.kind, fusion={"modality_dropout": 0.0}, **self.options)

    def streams(self):
        own = {"source": domain(seed=10), "target": domain(target=True, seed=20)}
        if os.environ.get("RANK") == "1":
            for rows in own.values():
                rows.present |= dict.fromkeys(self.missing, torch.zeros(len(rows), dtype=torch.bool))
        return own
