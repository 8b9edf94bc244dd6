"""mm-da: adapt a multimodal model whose modalities teach each other."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import nn

from hubtl.batch import Batch
from hubtl.errors import HubtlError
from hubtl.modules import Classifier
from hubtl.ranks import all_rows
from hubtl.strategy import Judging, Learner, Loss, Phase, Progress, Sweep
from hubtl_multimodal.pseudo import pseudo_labels
from hubtl_multimodal.strategies.defaults import DEFAULTS
from hubtl_multimodal.strategies.heads import Said, backbone_of, groups_of, say_of_pooled
from hubtl_multimodal.strategies.mm_terms import Terms
from hubtl_multimodal.strategies.upkeep import follow, unseen

FADE_IN = 0.25  # of the last phase: the labels' weight grows so long
PACE = 0.1  # of the source's class means
CRITICS = ("adversary_critic", "conditional_critic")  # children that play from the second phase on
CHUNK = 4096  # rows of the target at once


class MultimodalDA(Terms):
    """Align each modality and their fusion, then self-train on agreeing modalities.

    ``L = CE(l, y) + aux · mean_m CE(l_m, y)`` on the source, where ``l`` are the joint logits and ``l_m`` those of the
    fused feature and of each modality alone, all of one linear head; plus

    - from the first phase on, ``warm``: correspondence of modalities on both domains, and mimicry, ``KL(sg p ‖ q_m)``;
    - from ``align`` on: ``k(t) · (adversary + local + conditional)``, ``k = 2 / (1 + exp(−10 t)) − 1`` over both remaining
      phases, and ``infomax · (mean H(p_t) − H(mean p_t))``;
    - in ``self-train``: ``r(t) · (pseudo · CE(l_*, ŷ) + prototype · CE(cos(f, μ) / 0.1, ŷ))`` on strong views, for every head.

    A slow average of the model (the teacher) labels the whole target under its plain view, with all modalities, before
    each pass: half its joint prediction, half the mean of its modalities' (``hubtl_multimodal.pseudo``). Used are the
    30 % most confident rows of each class at first and 80 % in the end, of those the ones on which two modalities
    agree. The teacher is deployed.

    With ``standardise`` source, weak and strong target views go through separate forwards, and running statistics are
    those of the target's weak view alone; without, source and target share one. Losses that contrast rows, the mean
    prediction and BatchNorm are of one micro-batch. Modality dropout grows from zero over the first fifth of the run. A
    class that the target has more often than its even share is labelled less often.

    Each head is calibrated in the end, on the source's evaluation rows (``run.calibrate``), so that an overconfident
    one weighs less where others are missing.

    Deviations from the combined methods: correspondence is asked of every pair of modalities, and a modality dropped in
    training has none. The labels' weight is full after a quarter of the phase. ``ogm`` scales the gradient through a
    modality's own feature, without noise.
    """

    paper = "arXiv:2001.09691"
    judging = Judging(improves=("infomax", "bnm"), forgets_source=True, calibrated=True)
    defaults = DEFAULTS
    ablations: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "critics": {"adversary": 0.0, "local": 0.0, "conditional": 0.0},
        "correspondence": {"correspondence": 0.0},
        "mimicry": {"mimicry": 0.0, "mimicry_target": 0.0},
        "pseudo-labels": {"pseudo": 0.0, "prototype": 0.0},
        "agreement": {"agreement": False},
        "per-domain statistics": {"standardise": False},
        "modality dropout": {"modality_dropout": 0.0},
    }

    def phases(self) -> Sequence[Phase]:
        own = self.options
        weak = {"source": ("weak",), "target": ("weak",)}
        taught = weak | ({"target": ("weak", "strong")} if own.pseudo or own.prototype else {})
        align = 1 - own.warm - own.selftrain
        if align <= 0:
            raise HubtlError(
                f"warm and selftrain take {own.warm + own.selftrain:g} of the updates, and leave none to align",
                hint="--set warm=0.25 --set selftrain=0.5",
            )
        learners = self.learners()
        later = CRITICS if own.mimicry else (*CRITICS, "mimic")
        first = {name: learner for name, learner in learners.items() if name not in later}
        return [
            Phase("warm", self.warm, weak, first, share=own.warm),
            Phase("align", self.align, weak, learners, share=align),
            Phase(
                "self-train",
                self.selftrain,
                taught,
                learners,
                share=own.selftrain,
                refresh=self.relabel if own.pseudo or own.prototype else None,
                refreshes=own.refreshes,
            ),
        ]

    def learners(self) -> dict[str, Learner]:
        groups = super().learners()
        del groups["teacher"]
        return groups_of(groups, self.encoder)

    def deployed(self) -> Classifier:
        return self.teacher

    def warm(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        self.prepare(self.options.warm * at.fraction)
        learns = hasattr(self, "matcher") or self.options.contrast
        s, t = self.both(source, target, learns)
        total, logs = self.supervised(s, source)
        if learns:
            added = self.corresponding(s, t, source, logs)
            total = total + added
        yield Loss(total, logs=logs)
        self.remember(s, source, min(self.options.decay, (at.step + 1) / (at.step + 10)))

    def align(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        left = 1 - self.options.warm
        done = (left - self.options.selftrain) * at.fraction / left
        s, _, total, logs = self.aligned(source, target, done, at)
        yield Loss(total, logs=logs)
        self.remember(s, source, self.options.decay)

    def selftrain(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        own, left = self.options, 1 - self.options.warm
        done = (left - own.selftrain * (1 - at.fraction)) / left
        s, _, total, logs = self.aligned(source, target, done, at)
        if own.pseudo or own.prototype:
            with unseen(self.encoder):
                strong = self.say(target.view("strong"))
            taught = self.taught(strong, target, logs)
            total = total + at.added * min(1.0, at.fraction / FADE_IN) * taught
        yield Loss(total, logs=logs)
        self.remember(s, source, own.decay)

    def relabel(self, sweep: Sweep, at: Progress) -> None:
        """Label the whole target with the current teacher."""
        own = self.options
        fusion, head = backbone_of(self.teacher.encoder).fusion, self.teacher.head
        device = next(head.parameters()).device
        seen = [say_of_pooled(z.to(device), head, fusion) for z in sweep("target").features.split(CHUNK)]
        joint = torch.cat([y for y, _, _ in seen])
        heads = {n: torch.cat([y[n] for _, y, _ in seen]) for n in fusion.modalities}
        present = {n: torch.cat([r[n] for _, _, r in seen]) for n in fusion.modalities}
        share = own.keep_first + (own.keep_last - own.keep_first) * at.fraction
        self.labels, self.weights = pseudo_labels(joint, heads, present, share, agreement=own.agreement)

    @torch.no_grad()
    def remember(self, s: Said, source: Batch, decay: float) -> None:
        """Update the teacher, and the source's class means."""
        for slow, fast in ((self.teacher.encoder, self.encoder), (self.teacher.head, self.head)):
            follow(slow, getattr(fast, "module", fast), decay)
        if self.options.prototype:
            assert source.labels is not None
            features, labels = all_rows(s.fused_feature().detach().float()), all_rows(source.labels)
            of_class = nn.functional.one_hot(labels, len(self.means)).float()
            count = of_class.sum(dim=0)[:, None]
            now = of_class.T @ features / count.clamp(min=1)
            known = self.means.any(dim=1, keepdim=True)
            moved = torch.where(known, torch.lerp(self.means, now, PACE), now)
            self.means.copy_(torch.where(count > 0, moved, self.means))
