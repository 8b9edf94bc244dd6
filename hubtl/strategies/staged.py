"""Fine-tune in stages: the new head first, so that it does not distort pretrained features."""

from collections.abc import Sequence

from pydantic import Field

from hubtl.errors import HubtlError
from hubtl.strategies.finetune import Finetune, FinetuneOptions
from hubtl.strategy import Learner, Phase


class PartialFinetuneOptions(FinetuneOptions):
    first: int = Field(0, ge=0, description="number of the backbone's blocks to freeze, from the input")
    frozen: list[str] = Field(default_factory=list, description="names of further blocks to freeze")


class PartialFinetune(Finetune):
    """Fine-tune only some of the backbone's blocks on the labelled target.

    ``L = task(h(f(x)), y)``. Frozen are the ``first`` blocks and those named in ``frozen``, their BatchNorm statistics
    included; by default the first half.
    """

    Options = PartialFinetuneOptions

    def groups(self) -> tuple[dict[str, Learner], dict[str, float]]:
        blocks, options = self.blocks(), self.options
        names = [name.removeprefix("backbone/") for name in blocks]
        unknown = [name for name in options.frozen if name not in names]
        if unknown or options.first > len(names):
            what = f"no block {', '.join(unknown)}" if unknown else f"not {options.first} blocks"
            raise HubtlError(f"the backbone has {what}", hint=f"its blocks: {', '.join(names)}")
        first = options.first or (0 if options.frozen else len(names) // 2)
        learn = [n for i, n in enumerate(names) if i >= first and n not in options.frozen]
        learners, decay = self.learners(), options.layer_decay
        del learners["backbone"]
        factors = {f"backbone/{n}": decay ** (len(names) - names.index(n)) for n in learn}
        return {**{name: blocks[name] for name in factors}, **learners}, factors


class LPFTOptions(FinetuneOptions):
    probe_share: float = Field(0.3, gt=0, lt=1, description="share of the updates that train the head alone")
    finetune_lr: float = Field(0.1, gt=0, description="factor on the learning rates after the probe")


class LPFT(Finetune):
    """Train the head on frozen features first, then fine-tune everything, more slowly.

    ``L = task(h(f(x)), y)`` in both phases; in ``probe``, ``f`` is frozen, its BatchNorm statistics included. The
    schedule starts again in each phase.
    """

    Options = LPFTOptions
    paper = "arXiv:2202.10054"

    def phases(self) -> Sequence[Phase]:
        share, slower = self.options.probe_share, self.options.finetune_lr
        groups, factors = self.groups()
        heads = {name: learner for name, learner in groups.items() if not name.startswith("backbone")}
        rates = {name: slower * factors.get(name, 1.0) for name in groups}
        return [
            Phase("probe", self.step, ("target",), heads, share=share),
            Phase("finetune", self.step, ("target",), groups, share=1 - share, lr=rates),
        ]


class GradualUnfreezeOptions(FinetuneOptions):
    stages: int = Field(
        3, ge=1, description="number of stages that unfreeze the backbone's blocks, after the head's own"
    )


class GradualUnfreeze(Finetune):
    """Train the head, then unfreeze the backbone's blocks from the output down.

    ``L = task(h(f(x)), y)``. Every stage has the same share of the updates, and a schedule of its own. Deviation: the
    paper unfreezes one layer an epoch, with slanted triangular rates; ``layer_decay`` gives its discriminative ones.
    """

    Options = GradualUnfreezeOptions
    paper = "arXiv:1801.06146"

    def phases(self) -> Sequence[Phase]:
        blocks, learners = list(self.blocks().items()), self.learners()
        del learners["backbone"]
        n, decay = len(blocks), self.options.layer_decay
        stages = min(self.options.stages, n)
        found = []
        for stage in range(stages + 1):
            joined = dict(blocks[n - round(n * stage / stages) :])
            factors = {name: decay ** (n - i) for i, (name, _) in enumerate(blocks) if name in joined}
            groups = {**joined, **learners}
            found.append(Phase(f"stage-{stage}", self.step, ("target",), groups, share=1 / (stages + 1), lr=factors))
        return found
