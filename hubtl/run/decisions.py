"""Decide what a recipe leaves open, each key with its reason; the user's values stay."""

from collections.abc import Mapping
from typing import Any

from hubtl import plugins
from hubtl.backbones.base import Backbone
from hubtl.backbones.reference import ModelRef
from hubtl.errors import HubtlError
from hubtl.io.shown import plural
from hubtl.judging.judge import voters_on
from hubtl.recipe.reading import merge, parse
from hubtl.recipe.schema import Recipe
from hubtl.record import Decision, LabelSets
from hubtl.run.streams import NO_TARGET_LABELS
from hubtl.strategy import Strategy
from hubtl.tasks import Task

CLOSED = ("closed", "unknown")  # relations that ask for nothing of their own
LOOKS = 20  # evaluations of a run that adjusts itself
SMALLEST_AUGMENTED = 64  # pixels; below, a random crop of a tenth of the image shows nothing
DEFAULT_STEPS, DEFAULT_EPOCHS = 2000, 10.0  # when adapting, and otherwise


class Decisions:
    """Collect decisions on the open keys of a recipe, in order."""

    def __init__(self, given: Recipe) -> None:
        self.given = given
        self.model = ModelRef(given.model.name)
        self._made: dict[str, Decision] = {}
        self._replaced: set[str] = set()

    @property
    def made(self) -> list[Decision]:
        return list(self._made.values())

    @property
    def recipe(self) -> Recipe:
        """Merge the given recipe with all decisions so far."""
        changes = {key: decision.value for key, decision in self._made.items()} | dict.fromkeys(self._replaced)
        return parse(merge(self.given.model_dump(exclude_unset=True), changes))

    def is_open(self, key: str) -> bool:
        """Return whether the user left a key open, as ``section.key`` or ``section.options.key``."""
        section, leaf = key.split(".", 1)
        part = getattr(self.given, section)
        if leaf.startswith("options."):
            return leaf.removeprefix("options.") not in part.options
        given = part.model_fields_set if section in self.given.model_fields_set else set()
        return getattr(part, leaf) in (None, "auto") or leaf not in given

    def decide(self, key: str, value: Any, because: str) -> None:
        """Decide a key unless the user gave it; a later decision replaces an earlier one.

        Args:
            key: the dotted key.
            value: its value.
            because: the reason.
        """
        if self.is_open(key):
            self._made[key] = Decision(key=key, value=value, because=because)

    def decide_all(self, values: Mapping[str, Any], because: str) -> None:
        for key, value in values.items():
            self.decide(key, value, because)

    def fill(self, key: str, value: Any, because: str) -> None:
        """Decide a key unless it is given or decided.

        Args:
            key: the dotted key.
            value: its value.
            because: the reason.
        """
        if key not in self._made:
            self.decide(key, value, because)

    def replace(self, key: str, by: str) -> None:
        """Leave a key empty because another one says the same. It may have been given or not."""
        if by in self._made:
            self._made.pop(key, None)
            self._replaced.add(key)


def by_strategy(decisions: Decisions, name: str, cls: type[Strategy], setting: str, task: Task) -> None:
    """Decide optimiser, bottleneck, tuner and validator, by the method and the setting."""
    given, blind = decisions.given, setting in NO_TARGET_LABELS
    decisions.decide_all({"optim.lr": 1e-2, "optim.schedule": "inverse-decay"}, "the usual start for SGD on a new head")
    if setting == "adaptation":
        decisions.decide("model.bottleneck", 256, "a bottleneck before the head is usual in domain adaptation")
    else:
        decisions.decide("model.bottleneck", 0, "no domains are aligned, so no bottleneck is needed")
    if blind and not _voters(cls, task, setting):
        decisions.decide(
            "run.validator", "last", f"no label-free score of {task.name} can judge {name} without its source"
        )
    elif blind:
        voters = _voters(cls, task, setting)
        decides = (
            f"one label-free score ({voters[0]}) decides" if len(voters) == 1 else "several label-free scores vote"
        )
        decisions.decide("run.validator", "ensemble", f"the target is unlabelled, so {decides}")
    else:
        decisions.decide("run.validator", "last", "training reads the target's labels, so the last weights are taken")
    if setting == "adaptation" and not cls.trains_backbone:  # nor does source-only then, which stands beside it
        decisions.decide("tuner.name", "head", f"{name} never trains the backbone")
    if given.run.adjust and not blind:
        decisions.decide("data.hold_out", 0.1, "run.adjust needs labelled rows that training does not see")
    decisions.decide_all(cls.defaults, f"a default of {name}")
    customary = _customary(given, decisions.model, cls)
    decisions.decide_all(customary, "models of this kind are commonly fine-tuned so")
    if customary and not cls.moves_features and decisions.recipe.tuner.name == "head":
        decisions.decide_all(
            decisions.model.frozen_defaults,
            f"the encoder is frozen, and {name} needs a linear head alone: a bottleneck would learn few rows by heart",
        )


def _voters(cls: type[Strategy], task: Task, setting: str) -> list[str]:
    """Return the task's voters whose evidence exists in the run."""
    known = voters_on(cls, task)
    if setting != "source-free":
        return known
    return [name for name in known if not any(f.startswith("source") for f in plugins.load("validators", name).reads)]


def _customary(recipe: Recipe, model: ModelRef, cls: type[Strategy]) -> dict[str, Any]:
    """Return customary keys for models of this kind. They are for runs whose user and strategy name no optimiser.

    A strategy's own rate is then for another optimiser; one that freezes the backbone knows its head best.
    """
    given = recipe.optim.model_fields_set if "optim" in recipe.model_fields_set else set()
    if "name" in given or "optim.name" in cls.defaults or not cls.trains_backbone:
        return {}
    defaults = dict(model.training_defaults)
    if not recipe.model.pretrained:
        defaults.pop("optim.backbone_lr_scale", None)
    return defaults


def by_relation(decisions: Decisions, relation: LabelSets, cls: type[Strategy], setting: str) -> None:
    """Decide the consequences of label sets that are not closed."""
    if relation.setting in CLOSED:
        return
    for key, value in cls.suits.get(relation.setting, {}).items():
        decisions.decide(f"strategy.options.{key}", value, f"the method's own value for {relation.setting} label sets")
    if setting in NO_TARGET_LABELS:
        why = "label-free scores reward confident predictions of every class, and the target"
        has = "lacks some" if relation.setting == "partial" else "has others"
        decisions.decide("run.validator", "last", f"{why} {has}")


def by_model(decisions: Decisions, backbone: Backbone, cls: type[Strategy], task: Task) -> None:
    """Decide input size, random views and the backbone's learning rate."""
    size: int | None = getattr(backbone.info.input, "size", None)  # of an image, where a model takes images alone
    if size is not None:
        decisions.fill("model.image_size", size, "the model's own input size")
    if backbone.info.pretrained:
        decisions.fill("optim.backbone_lr_scale", 0.1, "pretrained weights learn more slowly than a new head")
    else:
        decisions.fill("optim.backbone_lr_scale", 1.0, "random weights learn as fast as a new head")
    if decisions.recipe.tuner.name == "head" or not cls.trains_backbone:
        decisions.fill("data.augment", "none", "the backbone is frozen, so its features are computed once")
        for key, value in task.head_defaults.items():
            decisions.fill(
                key, value, f"a default of {task.name} on a frozen backbone, whose features are of any scale"
            )
    elif not task.augments:
        decisions.fill("data.augment", "none", f"a crop or a flip may change the label in {task.name}")
    elif size is None:
        decisions.fill("data.augment", "none", "the input is not an image alone")
    elif size < SMALLEST_AUGMENTED:
        decisions.fill("data.augment", "none", f"{size} px are too few for random crops")
    else:
        decisions.fill("data.augment", "standard", f"images of {size} px are cropped and flipped at random")


def by_rows(
    decisions: Decisions, cls: type[Strategy], setting: str, task: Task, *, labelled: bool, per_epoch: int
) -> None:
    """Decide calibration and length, when the rows are known.

    Args:
        decisions: the decisions so far.
        cls: the strategy's class.
        setting: the setting of the run.
        task: the task.
        labelled: whether there are labelled evaluation rows of the source.
        per_epoch: updates of one epoch.

    Raises:
        HubtlError: where the recipe gives two lengths.
    """
    if not cls.judging.calibrated:
        decisions.fill("run.calibrate", False, "the method does not ask for temperatures")
    elif not task.probabilities:
        decisions.fill("run.calibrate", False, f"{task.name} has no probabilities to fit temperatures on")
    elif not labelled:
        decisions.fill(
            "run.calibrate", False, "there are no labelled evaluation rows of a source to fit temperatures on"
        )
    else:
        decisions.fill(
            "run.calibrate", True, "the method asks for temperatures, and the source has rows to fit them on"
        )
    run = decisions.recipe.run
    if run.steps is not None and run.epochs is not None:
        raise HubtlError("both steps and epochs are given", hint="give --steps or --epochs")
    if run.epochs is not None:
        steps, why = _updates(run.epochs, per_epoch)
    elif setting == "adaptation":
        steps, why = DEFAULT_STEPS, "the default length of an adaptation"
    else:
        steps, why = _updates(DEFAULT_EPOCHS, per_epoch)
        why = f"{why}, the default without adaptation"
    decisions.fill("run.steps", steps, why)
    decisions.replace("run.epochs", by="run.steps")
    length = run.steps or steps
    if run.adjust:
        decisions.fill("run.evaluate_every", max(1, length // LOOKS), f"run.adjust evaluates {LOOKS} times")
    else:
        decisions.fill("run.evaluate_every", max(1, length // 5), "five evaluations of a run")


def _updates(epochs: float, per_epoch: int) -> tuple[int, str]:
    return max(1, round(epochs * per_epoch)), f"{epochs:g} epoch{'s' * (epochs != 1)} of {plural(per_epoch, 'update')}"
