"""Every built-in of every kind passes its suite. A broken claim is found by its own check."""

import numpy as np
import pytest
import torch
from pydantic import Field
from torch import nn

from hubtl import backbones, plugins
from hubtl.backbones.lenet import LeNet
from hubtl.backbones.lenet import load as lenet
from hubtl.batch import Features
from hubtl.errors import HubtlError
from hubtl.judging.validators import Validator
from hubtl.tasks.regression import Regression
from hubtl.testing import check
from hubtl.testing.kinds import SUITES, suite_of
from hubtl.testing.kinds.suite import Check
from hubtl.testtime.base import TestTime, TestTimeOptions
from hubtl.tuners import Tuner, TunerOptions


def built_in(*kinds):
    """Built-ins with a suite: that of tasks looks at one answer a row."""
    found = [(kind, name) for kind in kinds for name, e in plugins.entries(kind).items() if e.builtin]
    return [one for one in found if one != ("tasks", "segmentation")]


@pytest.mark.parametrize(("kind", "name"), built_in("tuners", "validators", "testtime", "tasks"))
def test_built_in(kind, name):
    check(plugins.load(kind, name))


def test_a_dense_task_has_no_suite_and_it_is_said():
    with pytest.raises(HubtlError, match="Segmentation is dense"):
        check(plugins.load("tasks", "segmentation"))


@pytest.mark.parametrize(
    ("name", "model", "size"), [("lenet", "lenet", None), ("timm", "test_resnet", 32), ("torchvision", "alexnet", 64)]
)
def test_built_in_loader(name, model, size):
    check(plugins.load("backbones", name), model=model, image_size=size)


def test_every_kind_has_a_suite_whose_checks_have_a_claim_and_say_how_to_mend():
    assert set(SUITES) == set(plugins.KINDS)
    for kind, name in (
        *((k, n) for k, n in built_in(*plugins.KINDS) if n in ("coral", "lora", "snd", "tent", "lenet", "image")),
    ):
        checks = list(suite_of(plugins.load(kind, name)).checks())
        assert len(checks) >= 5
        assert all(isinstance(one, Check) and one.claim.endswith(".") and one.mend for one in checks)
        assert checks[0].name == "documents"


def fails(thing, name, said, **given):
    """The named check fails as it says; those before it hold."""
    for one in suite_of(thing, **given).checks():
        if one.name == name:
            with pytest.raises((AssertionError, HubtlError), match=said):
                one.run()
            return
        one.run()
    raise AssertionError(f"there is no check {name}")


def test_what_has_no_base_class_is_no_plugin():
    for thing in (int, 7, nn.Linear, None):
        with pytest.raises(AssertionError, match="is no plugin"):
            check(thing)


# tuners


class Whole(Tuner):
    """Everything learns."""

    def apply(self, backbone):
        backbone.requires_grad_(True)


class BareOptions(TunerOptions):
    n: int = 1


class BoundOptions(TunerOptions):
    n: int = Field(0, ge=1, description="how many")


class Low(Tuner):
    """A matrix is added to the last layer."""

    idle, merges, seed = False, True, None

    def apply(self, backbone):
        if self.seed == "own":
            torch.seed()
        backbone.requires_grad_(False)
        backbone.extra = nn.Linear(24, 24, bias=False)
        nn.init.zeros_(backbone.extra.weight) if self.seed is None else None
        backbone.idle = nn.Parameter(torch.zeros(1)) if self.idle else None
        before = type(backbone).forward

        def forward(own, inputs, present=None):
            features = before(own, inputs, present)
            extra = own._modules.get("extra")
            return features if extra is None else Features(features.pooled + extra(features.pooled))

        backbone.__class__ = type("Added", (type(backbone),), {"forward": forward})

    def merge(self, backbone):
        if self.merges:
            with torch.no_grad():
                whole = torch.eye(24) + backbone.extra.weight
                backbone.linear.weight.copy_(whole @ backbone.linear.weight)
                backbone.linear.bias.copy_(whole @ backbone.linear.bias)
        backbone.extra = None


def varied(cls, **attributes):
    return type(cls.__name__, (cls,), {"__doc__": "Doc.", **attributes})


def test_a_tuner_that_adds_and_merges_stands():
    check(Low)


@pytest.mark.parametrize(
    ("attributes", "name", "said"),
    [
        ({"__doc__": None}, "documents", "has no docstring"),
        ({"Options": BareOptions}, "documents", "without a description: n"),
        ({"Options": BoundOptions}, "documents", "default of option n is refused by its own bounds"),
        ({"seed": "own"}, "applies", "differs from call to call"),
        ({"idle": True}, "learns", "no gradient reaches: idle"),
        ({"merges": False}, "merges", "merging changes the features"),
        ({"merge": lambda self, backbone: None}, "merges", "not the backbone's own: extra.weight"),
    ],
)
def test_a_tuner_that_breaks_a_claim(attributes, name, said):
    fails(varied(Low, **attributes), name, said)


# validators


class Sure(Validator):
    """The mean of the largest outputs on the target."""

    reads = frozenset({"target_logits", "source_labels"})

    def score(self, evidence):
        if evidence.source_labels is None:
            raise HubtlError("no source", hint="another")
        return float(evidence.target_logits.max(dim=1).values.mean())


def drawn(self, evidence):
    torch.rand(1)
    return 1.0


def written(self, evidence):
    evidence.target_logits.mul_(2)
    return 1.0


@pytest.mark.parametrize(
    ("attributes", "name", "said"),
    [
        ({"__doc__": ""}, "documents", "has no docstring"),
        ({"reads": frozenset({"tea"})}, "documents", "reads 'tea', which is no field of Evidence"),
        ({"score": lambda self, e: float("nan")}, "scores", "not finite"),
        (
            {"score": lambda self, e: float(np.random.default_rng().random())},
            "scores",
            "two scores of the same evidence",
        ),
        (
            {"score": lambda self, e: float((e.target_labels is None) + 1)},
            "declares",
            "it reads target_labels, and declares",
        ),
        ({"score": drawn}, "keeps", "torch's own random numbers"),
        ({"score": lambda self, e: float(np.random.rand() < 2)}, "keeps", "numpy's own random numbers"),
        ({"score": written}, "keeps", "it changes target_logits"),
        ({"merits": lambda self, judged: [1.0]}, "ranks", "1 merits for 3"),
        (
            {"score": lambda self, e: float(e.source_labels.mean())},
            "lacks",
            "without source_labels it raises AttributeError",
        ),
    ],
)
def test_a_validator_that_breaks_a_claim(attributes, name, said):
    fails(varied(Sure, **attributes), name, said)


def test_a_validator_that_stands():
    check(Sure)


# test time


class Shift(TestTime):
    """Scales of normalisation layers drift with the batches."""

    Options = TestTimeOptions

    def begin(self):
        super().begin()
        self.seen = 0

    def update(self, inputs, logits):
        self.seen += 1
        with torch.no_grad():
            for parameter in self.learning.values():
                parameter.add_(0.01 * self.seen)


def stray(self, inputs, logits):
    with torch.no_grad():
        next(iter(self.model.parameters())).add_(0.1)


def foreign(self, model, options=None):
    TestTime.__init__(self, model, options)
    self.original = model


def original(self, inputs, logits):
    with torch.no_grad():
        next(iter(self.original.parameters())).add_(0.1)


@pytest.mark.parametrize(
    ("attributes", "name", "said"),
    [
        ({"__doc__": None}, "documents", "has no docstring"),
        ({"learns": "everything"}, "documents", "learns is 'everything'"),
        ({"answer": lambda self, logits: logits * float("nan")}, "predicts", "not finite"),
        ({"use_batch_statistics": lambda self: None, "update": lambda self, i, y: None}, "predicts", "as it was"),
        ({"__init__": foreign, "update": original}, "keeps", "it changes the model that it was made from"),
        ({"update": stray}, "learns", "it changes 0.weight, and learns = 'norms'"),
        ({"answer": lambda self, y: y + torch.empty(1).uniform_(generator=torch.Generator().manual_seed(torch.seed() % 99))},
         "repeats", "other answers"),
        ({"begin": TestTime.begin, "seen": 0}, "resets", "leaves something behind"),
    ],
)  # fmt: skip
def test_a_test_time_method_that_breaks_a_claim(attributes, name, said):
    fails(varied(Shift, **attributes), name, said)


def test_a_test_time_method_that_stands():
    check(Shift)


# loaders


class Net(LeNet):
    """A LeNet with something wrong."""


def loader(**attributes):
    cls = type("Net", (Net,), attributes)

    def load(name, request):
        """Load a LeNet."""
        return cls(lenet("lenet", request).info)

    return load


def unseeded(name, request):
    """Load a LeNet."""
    torch.seed()
    return lenet(name, request)


def blind(self, inputs, present=None):
    return Features(0 * LeNet.forward(self, inputs).pooled)


def of_batch(self, inputs, present=None):
    pooled = LeNet.forward(self, inputs).pooled
    return Features(pooled - pooled.mean(dim=0))


def frozen(self, inputs, present=None):
    return Features(self.linear(self.convolutions(inputs["image"]).detach()))


def other(self, folder, classifier, names, meta):
    with torch.no_grad():
        classifier.weight.add_(1)
    LeNet.save(self, folder, classifier, names, meta)


@pytest.mark.parametrize(
    ("load", "name", "said"),
    [
        (lambda name, request: lenet(name, request), "documents", "has no docstring"),
        (unseeded, "loads", "with the same seed other weights"),
        (loader(forward=of_batch), "represents", "depend on its batch"),
        (loader(forward=blind), "represents", "every row has the same features"),
        (loader(blocks=lambda self: LeNet.blocks(self)[1:]), "divides", "in no block: convolutions.0.weight"),
        (
            loader(blocks=lambda self: [("a", p) for _, p in LeNet.blocks(self)]),
            "divides",
            "two blocks of the same name",
        ),
        (loader(forward=frozen), "learns", "no gradient reaches conv1, conv2"),
        (loader(lora_targets=lambda self: ["nowhere"]), "adapts", "no linear layer or convolution: nowhere"),
        (loader(save=lambda self, folder, c, names, meta: None), "saves", "cannot be loaded"),
        (loader(save=other, loader=backbones.made_by("lenet")), "saves", "its outputs differ by up to"),
    ],
)
def test_a_loader_that_breaks_a_claim(load, name, said):
    fails(load, name, said)


# tasks


class Numbers(Regression):
    """Numbers again."""

    name = "regression"


class WrongFigures(Regression.Figures):
    task: str = "other"


class Averages:
    """A meter that averages the figures of batches."""

    def __init__(self, task):
        self.task, self.parts = task, []

    def update(self, outputs, targets):
        self.parts.append(Numbers(self.task.outputs).evaluation(outputs, targets))

    def result(self):
        return self.parts[-1].model_copy(update={"n": sum(part.n for part in self.parts)})


def constant(self, outputs, labels):
    return outputs.sum(dim=1) * 0 + 1


@pytest.mark.parametrize(
    ("attributes", "name", "said"),
    [
        ({"__doc__": None}, "documents", "has no docstring"),
        ({"Figures": WrongFigures}, "documents", "they are of 'other', not 'regression'"),
        (
            {"find": lambda self, dataset, asked, where, aside=None: ([], ["no"])},
            "reads",
            "no labels are read: names: no",
        ),
        ({"losses": lambda self, outputs, labels: outputs.mean()}, "learns", "losses of shape"),
        ({"losses": constant}, "learns", "the loss does not fall"),
        ({"decode": lambda self, names, outputs: []}, "answers", "0 answers for"),
        (
            {"primary": lambda self: Regression.Figures(task="regression").rows()[-1]},
            "records",
            "primary.. of the task is",
        ),
        ({"picks": {("adaptation", None): ("mcc", "why")}}, "names", "mcc needs probabilities, and the task has none"),
        ({"voters": ("nobody",)}, "names", "unknown validator 'nobody'"),
    ],
)
def test_a_task_that_breaks_a_claim(attributes, name, said):
    fails(varied(Numbers, **attributes), name, said)


def test_a_meter_that_judges_the_last_batch_alone_is_found():
    cls = varied(Numbers)
    cls.meter = lambda self: Averages(self)
    cls.evaluation = lambda self, outputs, targets: Numbers(self.outputs).evaluation(outputs, targets)
    fails(cls, "judges", "in batches another")


def test_a_class_that_loads_stands_the_suite_as_a_function_does():
    from hubtl.backbones.loader import Loader

    class House(Loader):
        """Load a LeNet."""

        def load(self, name, request):
            return lenet("lenet", request)

    check(House, model="lenet")


def test_a_loader_that_cannot_be_made_says_what_it_lacks():
    from hubtl.backbones.loader import Loader, ready

    class Asks(Loader):
        def __init__(self, where): ...

        def load(self, name, request): ...

    with pytest.raises(TypeError, match="where"):  # of no plugin: one of a package or file is named
        ready(Asks)
