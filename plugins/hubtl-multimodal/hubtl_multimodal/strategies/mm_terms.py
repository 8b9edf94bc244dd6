"""Compute mm-da's losses on one batch of source and target. Their networks are here, too."""

import copy
from contextlib import nullcontext
from typing import ClassVar

import torch
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.errors import HubtlError
from hubtl.losses import domain_accuracy
from hubtl.modules import Classifier, Encoder
from hubtl.strategy import Progress, Strategy, StrategyOptions
from hubtl.tasks import Task
from hubtl_multimodal import losses
from hubtl_multimodal.strategies.heads import Said, backbone_of, local_adversary, say
from hubtl_multimodal.strategies.mm_options import MultimodalDAOptions
from hubtl_multimodal.strategies.networks import Matcher, Mimics, ModalityCritics, small_critic
from hubtl_multimodal.strategies.upkeep import ramp, unseen

PROJECTED = 1024  # width of a random projection
SURE = 0.6  # probability from which a fused prediction is worth mimicking on the target
DROPOUT_IN = 0.2  # of the run: modality dropout grows so long
CONTRAST = 0.1  # weight


class Terms(Strategy):
    """Compute the terms of ``mm-da``; a weight of 0 leaves out the network, too."""

    Options: ClassVar[type[StrategyOptions]] = MultimodalDAOptions

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        own, classes = self.options, len(task.outputs.names)
        fusion = backbone_of(encoder).fusion
        names, several = fusion.modalities, len(fusion.modalities) > 1
        width = fusion.joint_width if fusion.kind == "late" else fusion.width  # of what is aligned by class
        self.dropout = fusion.modality_dropout if own.modality_dropout is None else own.modality_dropout
        self.teacher = Classifier(copy.deepcopy(encoder), copy.deepcopy(head)).requires_grad_(False)
        if own.adversary:
            self.adversary_critic = ModalityCritics(names, fusion.width)
        if own.conditional:
            self.projected = width * classes > losses.WIDEST
            self.conditional_critic = small_critic(PROJECTED if self.projected else width * classes)
            generator = torch.Generator().manual_seed(0)
            sizes = (width, classes) if self.projected else (0, 0)
            for name, size in zip(("left", "right"), sizes, strict=True):
                self.register_buffer(name, torch.randn(size, PROJECTED, generator=generator))
        if own.correspondence and several:
            self.matcher = Matcher(names, fusion.width)
        if (own.mimicry or own.mimicry_target) and several:
            self.mimic = Mimics(names, fusion.width, classes)
        self.means: Tensor
        self.labels: Tensor
        self.weights: Tensor
        self.register_buffer("means", torch.zeros(classes, width))  # of the source's features
        self.register_buffer("labels", torch.empty(0, dtype=torch.long))  # of the target's rows
        self.register_buffer("weights", torch.empty(0))  # and how much each counts

    def prepare(self, done: float) -> None:
        """Set the values that depend on the fraction of the run."""
        backbone_of(self.encoder).fusion.modality_dropout = self.dropout * min(1.0, done / DROPOUT_IN)

    def say(self, batch: Batch) -> Said:
        return say(self.encode(batch), self.head, backbone_of(self.encoder).fusion)

    def both(self, source: Batch, target: Batch, learns: bool = True) -> tuple[Said, Said]:
        """Return the outputs on the weak views; ``learns``: whether the target is learnt from."""
        source, target = source.weak(), target.weak()
        fusion = backbone_of(self.encoder).fusion
        if not self.options.standardise:
            fs, ft = self.encode_joint(source, target)
            return say(fs, self.head, fusion), say(ft, self.head, fusion)
        with unseen(self.encoder):
            s = self.say(source)
        with nullcontext() if learns else torch.no_grad():
            return s, self.say(target)

    def aligned(
        self, source: Batch, target: Batch, done: float, at: Progress
    ) -> tuple[Said, Said, Tensor, dict[str, Tensor]]:
        """Return everything but the target's labels; ``done`` of the phases with critics, 0 to 1."""
        own = self.options
        self.prepare(own.warm + (1 - own.warm) * done)
        s, t = self.both(source, target)
        total, logs = self.supervised(s, source)
        total = total + self.corresponding(s, t, source, logs)
        total = total + ramp(done) * self.adversarial(s, t, logs, at)
        if own.mimicry_target and hasattr(self, "mimic"):
            total = total + at.added * own.mimicry_target * self.mimicked(t, SURE)
        if own.infomax:
            total = total + at.added * own.infomax * losses.uncertainty(t.joint)
        return s, t, total, logs

    def supervised(self, s: Said, source: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the losses that need only the source's labels."""
        own, labels = self.options, source.labels
        task = self.task.loss(s.joint, labels)  # refuses where there are none
        assert labels is not None
        everywhere = torch.ones_like(labels, dtype=torch.bool)
        joint = losses.cross_entropy(s.joint, labels, everywhere, own.smoothing)
        alone = [losses.cross_entropy(s.own[n], labels, s.present[n], own.smoothing) for n in s.own]
        if "fused" in s.parts:
            alone.append(losses.cross_entropy(s.fused, labels, everywhere, own.smoothing))
        total = joint + own.aux * losses.mean_of(alone, s.joint)
        if own.mimicry and hasattr(self, "mimic"):
            total = total + own.mimicry * self.mimicked(s)
        if own.balance == "ogm":
            for name, factor in losses.dominance(s.own, labels, s.present).items():
                if s.parts[name].requires_grad:
                    s.parts[name].register_hook(lambda g, k=factor: g * k.to(g.dtype))
        return total, {"task": task}

    def mimicked(self, said: Said, threshold: float = 0.0) -> Tensor:
        mimics = self.mimic({n: said.parts[n] for n in said.own})
        return losses.mean_of(
            [losses.mimicry(said.joint, mimics[n], said.present[n], threshold) for n in mimics], said.joint
        )

    def corresponding(self, s: Said, t: Said, source: Batch, logs: dict[str, Tensor]) -> Tensor:
        """Return correspondence, and contrast, on both domains, half of each."""
        total = 0.0 * s.joint.sum()
        if hasattr(self, "matcher"):
            terms = []
            for said, labels in ((s, source.labels), (t, None)):
                partners = losses.mismatch(len(said.joint), said.joint.device)
                negatives = (
                    losses.not_surely_alike(said.joint, partners)
                    if labels is None
                    else losses.different(labels, partners)
                )
                verdicts = self.matcher({n: said.parts[n] for n in said.own}, partners)
                terms += [
                    losses.correspondence(yes, no, (said.present[m], said.present[n]), partners, negatives)
                    for (m, n), (yes, no) in verdicts.items()
                ]
            logs["correspondence"] = losses.mean_of(terms, s.joint)
            total = total + self.options.correspondence * logs["correspondence"]
        if self.options.contrast:
            assert source.labels is not None
            rows = torch.arange(len(t.joint), device=t.joint.device)
            for said, labels in ((s, source.labels), (t, rows)):
                halves = {n: said.parts[n][:, : said.fusion.width // 2] for n in said.own}
                total = total + CONTRAST * losses.contrast(halves, said.present, labels)
        return total

    def adversarial(self, s: Said, t: Said, logs: dict[str, Tensor], at: Progress) -> Tensor:
        """Return the critics' loss. They read modalities, tokens, and the fused feature with prediction."""
        own, names, n = self.options, list(s.own), len(s.joint)
        total = 0.0 * s.joint.sum()
        if own.adversary:
            both = {name: self.reverse(torch.cat([s.parts[name], t.parts[name]]), 1.0, at) for name in names}
            verdict = self.adversary_critic(both)
            has = {name: (s.present[name], t.present[name]) for name in names}
            terms = [losses.adversary(verdict[m][:n], verdict[m][n:], *has[m]) for m in names]
            told = [losses.told(verdict[m][:n], verdict[m][n:], *has[m]) for m in names]
            logs["adversary/critic_accuracy"] = torch.stack(told).mean()
            total = total + own.adversary * losses.mean_of(terms, s.joint)
        if own.local:
            logs["local"] = local_adversary(s, t)
            total = total + at.reversal * own.local * logs["local"]  # the model reverses this gradient itself
        if own.conditional:
            features = self.reverse(torch.cat([s.fused_feature(), t.fused_feature()]), 1.0, at)
            logits = torch.cat([s.joint, t.joint])
            fixed = (self.left, self.right) if self.projected else None
            seen = losses.conditioned(features, logits, fixed)  # type: ignore[arg-type]
            judged = self.conditional_critic(seen)[:, 0]
            logs["conditional/critic_accuracy"] = domain_accuracy(judged[:n], judged[n:])
            total = total + own.conditional * losses.conditional_adversary(judged, logits, n)
        return total

    def taught(self, strong: Said, target: Batch, logs: dict[str, Tensor]) -> Tensor:
        """Return the teacher's loss for every head and the features. Views are strong."""
        if target.index is None:
            raise HubtlError("the target's rows have no positions", hint="a data set must set Batch.index")
        own, labels, weight = self.options, self.labels[target.index], self.weights[target.index]
        logs["labelled"] = (weight > 0).float().mean()
        total = 0.0 * strong.joint.sum()
        if own.pseudo:
            heads = [(strong.joint, weight)] + [(strong.own[n], weight * strong.present[n]) for n in strong.own]
            if "fused" in strong.parts:
                heads.append((strong.fused, weight))
            if hasattr(self, "mimic"):
                mimics = self.mimic({n: strong.parts[n] for n in strong.own})
                heads += [(mimics[n], weight * strong.present[n]) for n in mimics]
            terms = [losses.cross_entropy(logits, labels, w) for logits, w in heads]
            logs["pseudo"] = losses.mean_of(terms, strong.joint)
            total = total + own.pseudo * logs["pseudo"]
        if own.prototype:
            near = losses.prototype(strong.fused_feature(), labels, self.means, weight)
            total = total + own.prototype * near
        return total
