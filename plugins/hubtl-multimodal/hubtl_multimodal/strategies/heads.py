"""Split one linear head into the fused feature's part and each modality's."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from hubtl.batch import Features
from hubtl.errors import HubtlError
from hubtl.modules import Encoder
from hubtl.strategy import Learner
from hubtl_multimodal.fusion import Fusion
from hubtl_multimodal.losses import mean_of, token_adversary


class Said(NamedTuple):
    """Hold a model's outputs on ``b`` rows."""

    features: Features
    present: dict[str, Tensor]  # modality -> [b] bool
    joint: Tensor  # [b, c] logits of all together: what ships
    fused: Tensor  # [b, c] logits of the fused feature alone; the joint ones for late fusion
    own: dict[str, Tensor]  # modality -> [b, c], as if it were there and nothing else
    fusion: Fusion

    @property
    def parts(self) -> dict[str, Tensor]:
        """Return modality -> z_m [b, d], and the backbone's other parts."""
        assert self.features.parts is not None
        return self.features.parts

    def fused_feature(self) -> Tensor:
        """Return [b, d], or all modalities' together [b, joint] for late fusion."""
        return self.parts.get("fused", self.features.pooled)


def backbone_of(encoder: nn.Module) -> Any:
    """Return the bare backbone of an encoder, wrapped or not.

    Raises:
        HubtlError: for one without fusion, and for an encoder with a bottleneck, since the head then reads no blocks.
    """
    bare: Any = getattr(encoder, "module", encoder)
    if not isinstance(getattr(bare.backbone, "fusion", None), Fusion):
        raise HubtlError(
            f"a {type(bare.backbone).__name__} has no fusion block, and this method needs one",
            hint="--model multimodal:…",
        )
    if isinstance(bare, Encoder) and bare.bottleneck is not None:
        raise HubtlError("a bottleneck would mix what each modality says", hint="--bottleneck 0")
    return bare.backbone


def groups_of(groups: Mapping[str, Learner], encoder: nn.Module) -> dict[str, Learner]:
    """Return a strategy's groups of learners. The fusion is a separate group.

    It is new, and learns at the rate of new layers, whatever the encoders' is.
    """
    backbone = backbone_of(encoder)
    new = set(backbone.fusion.parameters())
    own: dict[str, Learner] = {
        "backbone": [p for p in backbone.parameters() if p not in new],
        "fusion": backbone.fusion,
    }
    return own | {name: learner for name, learner in groups.items() if name != "backbone"}


def apart(pooled: Tensor, fusion: Fusion) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return each modality's block of joint features, and its presence.

    Features are [n, joint], unscaled; presence is [n].

    The block ends in a one, as for a present modality; that of an absent one is otherwise zero.
    """
    blocks, present = {}, {}
    for name, place in fusion.blocks_of().items():
        if name == "fused":
            continue
        block = pooled[:, place]
        r = block[:, -1:]
        present[name] = r[:, 0] > 0
        z = torch.where(r > 0, block[:, :-1] / r.clamp(min=1e-6), torch.zeros_like(block[:, :-1]))
        blocks[name] = torch.cat([z, torch.ones_like(r)], dim=1)
    return blocks, present


def taken_apart(pooled: Tensor, blocks: dict[str, Tensor], fusion: Fusion) -> Tensor:
    """Return joint features, the fused block alone, and each modality's. They are for one call of the head.

    The shape is [(2 + m) · n, joint].
    """
    places = fusion.blocks_of()
    rows = [pooled]
    if "fused" in places:
        blocks = {"fused": pooled[:, places["fused"]]} | blocks
    for name, block in blocks.items():
        alone = torch.zeros_like(pooled)
        alone[:, places[name]] = block.to(pooled.dtype)
        rows.append(alone)
    return torch.cat(rows)


def split(logits: Tensor, fusion: Fusion) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
    """Split the head's logits of ``taken_apart``: joint, fused, and of each modality."""
    places = fusion.blocks_of()
    names = [name for name in places if name != "fused"]
    joint, *rest = logits.chunk(1 + len(places))
    fused = rest.pop(0) if "fused" in places else joint
    return joint, fused, dict(zip(names, rest, strict=True))


def say(features: Features, head: nn.Module, fusion: Fusion) -> Said:
    """Return every head's logits of a batch. One call of the linear head gives them."""
    assert features.parts is not None
    parts = features.parts
    ones = torch.ones_like(features.pooled[:, :1])
    blocks = {n: torch.cat([parts[n].to(ones.dtype), ones], dim=1) for n in fusion.modalities}
    joint, fused, own = split(head(taken_apart(features.pooled, blocks, fusion)), fusion)
    return Said(features, {n: parts[f"{n}.present"] for n in fusion.modalities}, joint, fused, own, fusion)


def say_of_pooled(
    pooled: Tensor, head: nn.Module, fusion: Fusion
) -> tuple[Tensor, dict[str, Tensor], dict[str, Tensor]]:
    """Return joint logits, each modality's, and its presence. Joint features [n, joint] alone are read."""
    blocks, present = apart(pooled, fusion)
    joint, _, own = split(head(taken_apart(pooled, blocks, fusion)), fusion)
    return joint, own, present


def local_adversary(s: Said, t: Said) -> Tensor:
    """Return the loss of single tokens' critics, with reversed gradient. It is averaged over modalities."""
    terms = [
        token_adversary(
            (s.parts[f"{n}.local"], t.parts[f"{n}.local"]),
            (s.parts[f"{n}.mask"], t.parts[f"{n}.mask"]),
            (s.present[n], t.present[n]),
        )
        for n in s.own
    ]
    return mean_of(terms, s.joint)
