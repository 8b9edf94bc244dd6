"""attention-da: attention to tokens that both domains share, for one modality or several."""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from hubtl.batch import Batch
from hubtl.losses import domain_accuracy, domain_loss
from hubtl.modules import Critic, Encoder
from hubtl.strategy import Judging, Learner, Loss, Phase, Progress, Strategy, StrategyOptions
from hubtl.tasks import Task
from hubtl_multimodal import losses
from hubtl_multimodal.strategies.defaults import DEFAULTS
from hubtl_multimodal.strategies.heads import Said, backbone_of, groups_of, local_adversary, say
from hubtl_multimodal.strategies.mixing import mixed
from hubtl_multimodal.strategies.upkeep import ramp, unseen


class AttentionDAOptions(StrategyOptions):
    smoothing: float = Field(0.1, ge=0, lt=1, description="label smoothing on the source")
    weight: float = Field(1.0, ge=0, description="weight of the domain critic of the whole feature")
    critic: Literal["cdan-e", "dann"] = Field(
        "cdan-e", description="input of that critic: feature and prediction, or feature"
    )
    critic_width: int = Field(256, ge=1, description="hidden width of that critic's two layers")
    local: float = Field(
        0.05, ge=0, description="weight of the critics of single tokens; large pretrained models: 0.01"
    )
    infomax: float = Field(0.1, ge=0, description="weight of the mutual information of target predictions")
    consistency: float = Field(
        0.2, ge=0, description="weight of consistent predictions for a target row and a mixed one"
    )
    mix: float = Field(0.3, ge=0, le=1, description="share of another target row in a mixed one")
    sure: float = Field(0.4, ge=0, le=1, description="confidence threshold of a teaching prediction")


class AttentionDA(Strategy):
    """Weight tokens by how well they transfer, and align the attended features.

    ``L = CE(l, y) + k(t) · (weight · BCE(D(R(f) ⊗ p), domain) + local · mean BCE(d(R(z_t)), domain))
    + infomax · (mean H(p) − H(mean p)) + consistency · KL(p ‖ p')``.

    The local critics ``d`` are part of the model's fusion. The binary entropy of their verdict, ``w``, scales tokens,
    and ``log w`` is added to the logits of pooling and of the reading query (TADA and TVT in one). ``R`` reverses the
    gradient, ``k = 2 / (1 + exp(−10 t)) − 1`` over the run. The last term is on the target: ``p'`` is the prediction
    for a row whose inputs are mixed with another's. One of the two, drawn for each batch, teaches the other where it is
    confident (SSRT).

    Source and target go through one forward, and BatchNorm statistics are shared. The mixed rows go through a separate
    one, which does not change running statistics. Deviations: inputs are mixed, where SSRT perturbs a random block, and
    there is no safe mode. Weights enter attention before it is normalised; TVT scales it afterwards, so that confident
    critics would shrink all of it.
    """

    Options = AttentionDAOptions
    paper = "arXiv:2108.05988"
    judging = Judging(improves=("infomax", "bnm"))
    defaults = DEFAULTS

    def __init__(self, encoder: Encoder, head: nn.Module, task: Task, options: StrategyOptions | None = None) -> None:
        super().__init__(encoder, head, task, options)
        fusion = backbone_of(encoder).fusion
        width = fusion.joint_width if fusion.kind == "late" else fusion.width
        if self.options.weight:
            seen = width * len(task.outputs.names) if self.options.critic == "cdan-e" else width
            self.critic = Critic(seen, self.options.critic_width)

    def phases(self) -> Sequence[Phase]:
        return [Phase("adapt", self.step, {"source": ("weak",), "target": ("weak",)}, self.learners())]

    def learners(self) -> dict[str, Learner]:
        return groups_of(super().learners(), self.encoder)

    def step(self, source: Batch, target: Batch, *, at: Progress) -> Iterator[Loss]:
        own, fusion = self.options, backbone_of(self.encoder).fusion
        source, target = source.weak(), target.weak()
        s, t = (say(features, self.head, fusion) for features in self.encode_joint(source, target))
        task = self.task.loss(s.joint, source.labels)
        assert source.labels is not None
        logs = {"task": task}
        total = F.cross_entropy(s.joint.float(), source.labels, label_smoothing=own.smoothing)
        total = total + ramp(at.fraction) * self.adversarial(s, t, logs, at)
        if own.infomax:
            total = total + at.added * own.infomax * losses.uncertainty(t.joint)
        if own.consistency:
            logs["consistency"] = self.consistent(t, target)
            total = total + at.added * own.consistency * logs["consistency"]
        yield Loss(total, logs=logs)

    def adversarial(self, s: Said, t: Said, logs: dict[str, Tensor], at: Progress) -> Tensor:
        """Return the critics' loss on the whole feature and on tokens."""
        own, n = self.options, len(s.joint)
        total = 0.0 * s.joint.sum()
        if own.weight:
            features = self.reverse(torch.cat([s.fused_feature(), t.fused_feature()]), 1.0, at)
            logits = torch.cat([s.joint, t.joint])
            conditioned = own.critic == "cdan-e"
            verdict = self.critic(losses.conditioned(features, logits) if conditioned else features)
            domain = (
                losses.conditional_adversary(verdict, logits, n)
                if conditioned
                else domain_loss(verdict[:n], verdict[n:])
            )
            logs |= {"domain": domain, "critic_accuracy": domain_accuracy(verdict[:n], verdict[n:])}
            total = total + own.weight * domain
        if own.local:
            logs["local"] = local_adversary(s, t)
            total = total + at.reversal * own.local * logs["local"]  # the model reverses this gradient itself
        return total

    def consistent(self, t: Said, target: Batch) -> Tensor:
        """Return the divergence of predictions for target and mixed rows. The teacher is that of the two."""
        other = mixed(target, losses.mismatch(len(target), t.joint.device), self.options.mix)
        with unseen(self.encoder):
            changed = self.head(self.encode(other).pooled)
        teacher, student = (t.joint, changed) if torch.rand(()) < 0.5 else (changed, t.joint)
        everywhere = torch.ones(len(changed), dtype=torch.bool, device=changed.device)
        return losses.mimicry(teacher, student, everywhere, self.options.sure)
