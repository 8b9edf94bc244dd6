"""A plugin of the wrong type or conduct is one error; it names its package and version: exit code 2."""

import contextlib
import re

import numpy as np
import pytest
import torch
from PIL import Image

from hubtl import backbones, plugins
from hubtl.backbones.base import BackboneRequest
from hubtl.engine.contract import deployed_by, phases_of
from hubtl.errors import HubtlError
from hubtl.judging.validators import Evidence, measured, merits_of, rule_of, score_of, scores_of
from hubtl.run.prepare import head_of
from hubtl.testtime import make
from tests import tiny
from tests.tiny import hubtl_command

STRATEGY = """
import torch
from hubtl.strategy import Additive, Loss, Phase, Strategy, StrategyOptions

class Odd(Strategy):
    "Odd."
    def step(self, source, target, *, at):
        yield Loss(self.task.loss(self.head(self.encode(source).pooled), source.labels))
"""
ADDITIVE = (
    STRATEGY
    + """
class Odd(Additive):
    "Odd."
    def added(self, pair, *, at):
"""
)
GROUPS = {
    "strategies": STRATEGY,
    "validators": (
        "from hubtl.judging.validators import Validator\n"
        "class Odd(Validator):\n    def score(self, evidence): return 1.0\n"
    ),
    "tuners": "from hubtl.tuners import Tuner\nclass Odd(Tuner):\n    def apply(self, backbone): ...\n",
    "tasks": "from hubtl.tasks.classification import Classification\nclass Odd(Classification): ...\n",
    "testtime": "from hubtl.testtime import TestTime\nclass Odd(TestTime):\n    def update(self, inputs, logits): ...\n",
    "backbones": "from hubtl.backbones.lenet import load as Odd\n",
}
NO_CLASSES = {
    "None": "Odd = None",
    "a function": "def Odd(*a, **k): ...",
    "an instance": "{}\nOdd = Odd()",
    "a module": "import json as Odd",
    "a text": "Odd = 'Odd'",
    "a number": "Odd = 7",
    "a dict": "Odd = dict()",
    "a lambda": "Odd = lambda *a: None",
    "a class of no kind": "class Odd: ...",
    "a tensor": "import torch\nOdd = torch.zeros(2)",
    "a module of torch": "from torch import nn\nOdd = nn.Linear",
    "an exception": "class Odd(Exception): ...",
    "a generic alias": "Odd = list[int]",
    "a pydantic model": "from pydantic import BaseModel\nclass Odd(BaseModel): ...",
}
OTHERS = {
    "strategies": "tuners",
    "validators": "strategies",
    "tuners": "tasks",
    "tasks": "testtime",
    "testtime": "validators",
}
NO_LOADERS = ("None", "a module", "a text", "a number", "a dict", "a tensor")


def called(kind):
    return f"{plugins.SINGULAR[kind]} 'odd' of stranger 1.2"


@pytest.mark.parametrize("what", NO_CLASSES)
@pytest.mark.parametrize("kind", [k for k in GROUPS if k != "backbones"])
def test_what_is_no_class_of_its_kind(install, kind, what):
    own = GROUPS[kind]
    source = NO_CLASSES[what].replace(
        "{}", own if kind not in ("strategies", "tasks", "testtime") else f"{own}\nOdd = object"
    )
    install("stranger", {"odd": "Odd"}, source=source, group=f"hubtl.{kind}")
    with pytest.raises(HubtlError, match=f"^{called(kind)} is no {plugins.SINGULAR[kind]}: it is") as caught:
        plugins.load(kind, "odd")
    assert "pip uninstall stranger" in caught.value.hint


@pytest.mark.parametrize("kind", OTHERS)
def test_a_class_of_another_kind(install, kind):
    install("stranger", {"odd": "Odd"}, source=GROUPS[OTHERS[kind]], group=f"hubtl.{kind}")
    with pytest.raises(HubtlError, match=f"{called(kind)} is no .*: it is the class Odd, not a subclass of hubtl"):
        plugins.load(kind, "odd")


@pytest.mark.parametrize("what", NO_LOADERS)
def test_what_is_no_loader(install, what):
    install("stranger", {"odd": "Odd"}, source=NO_CLASSES[what], group="hubtl.backbones")
    with pytest.raises(HubtlError, match=f"{called('backbones')} is no backbone: it is"):
        plugins.load("backbones", "odd")


@pytest.mark.parametrize(
    "line",
    [
        "Options = None",
        "Options = dict",
        "Options = 7",
        "Options = {}",
        "class Options: ...",
        "def Options(**k): ...",
        "settings = 'adaptation'",
        "settings = ()",
        "settings = ('everything',)",
        "settings = None",
        "suits = {'half-open': {}}",
        "suits = ('closed',)",
        "suits = {'partial': ('weight', 0)}",
        "judging = ('snd',)",
        "judging = __import__('hubtl').Judging(improves='snd')",
        "judging = __import__('hubtl').Judging(improves=(1, 2))",
        "judging = __import__('hubtl').Judging(forgets_source='no')",
        "needs = 'features'",
        "needs = ('logits',)",
        "defaults = ['optim.lr']",
        "ablations = None",
        "trains_backbone = 'no'",
        "unknown = None",
        "paper = 1505.07818",
    ],
)
def test_a_strategy_with_a_declaration_that_means_nothing(install, line):
    install("stranger", {"odd": "Odd"}, source=f"{STRATEGY}\n    {line}\n")
    with pytest.raises(HubtlError, match=f"{called('strategies')} is no strategy: its {line.split()[0]}|its Options"):
        plugins.load("strategies", "odd")


def test_a_strategy_of_an_earlier_hubtl_is_told_all_that_has_moved_at_once(install):
    lines = ["improves = ('snd',)", "forgets_source = True", "label_sets = ('closed',)", "critics = ('critic',)"]
    lines += [
        "label_set_options = {'partial': {}}",
        "calibrated = True",
        "views = ('weak',)",
        "source_views = ('weak',)",
    ]
    install("stranger", {"odd": "Odd"}, source=STRATEGY + "".join(f"\n    {line}" for line in lines))
    with pytest.raises(
        HubtlError, match=f"{called('strategies')} is no strategy: it is written for hubtl 0.1: "
    ) as said:
        plugins.load("strategies", "odd")
    for line in lines:
        assert f"{line.split()[0]} is now " in str(said.value)
    assert "judging = Judging(forgets_source=…)" in str(said.value)
    assert "From 0.1 to 0.2" in str(said.value)


def test_a_method_of_a_strategy_may_have_a_name_that_a_declaration_had(install):
    install("stranger", {"odd": "Odd"}, source=f"{STRATEGY}\n    def improves(self): ...\n")
    assert plugins.load("strategies", "odd").needs == ("features", "probabilities")


@pytest.mark.parametrize(
    "line",
    [
        "reads = 'target_logits'",
        "reads = {'target_lodgings'}",
        "reads = None",
        "reads = 7",
        "reads = {7}",
        "needs = 'features'",
        "needs = {'features'}",
    ],
)
def test_a_validator_that_reads_what_there_is_not(install, line):
    install("stranger", {"odd": "Odd"}, source=f"{GROUPS['validators']}    {line}\n", group="hubtl.validators")
    with pytest.raises(HubtlError, match=f"{called('validators')} is no validator: it"):
        plugins.load("validators", "odd")


@pytest.mark.parametrize("kind", ["validators", "tuners", "testtime"])
def test_a_class_that_leaves_its_work_undone(install, kind):
    source = GROUPS[kind].split("\n")[0] + f"\nclass Odd({GROUPS[kind].split('import ')[1].split()[0]}): ...\n"
    install("stranger", {"odd": "Odd"}, source=source, group=f"hubtl.{kind}")
    with pytest.raises(HubtlError, match=r"it does not define (score|apply|update)"):
        plugins.load(kind, "odd")


IMPORTS = {
    "sys.exit()": "import sys\nsys.exit()",
    "sys.exit(0)": "import sys\nsys.exit(0)",
    "sys.exit(text)": "import sys\nsys.exit('no licence')",
    "quit": "raise SystemExit",
    "a BaseException": "class Strange(BaseException): ...\nraise Strange('odd')",
    "a syntax error": "def (:",
    "a tab": "if True:\n\tx = 1\n        y = 2",
    "no such module": "import a_package_that_is_not_there",
    "no such name": "from torch import a_name_that_is_not_there",
    "a division": "1 / 0",
    "an assertion": "assert False, 'never'",
    "no end": "def f(): f()\nf()",
    "a StopIteration": "raise StopIteration",
    "a MemoryError": "raise MemoryError",
    "an OSError": "open('/nowhere/at/all')",
    "an exception without text": "raise Exception",
    "an exception that cannot be shown": "class E(Exception):\n    def __str__(self): return 'line\\nline\\n' * 99\nraise E",
    "another HubtlError": "from hubtl import HubtlError\nraise HubtlError('needs a licence', hint='buy one')",
    "an asyncio cancellation": "import asyncio\nraise asyncio.CancelledError",
    "a null byte": "x = '\x00'",
    "warnings as errors": "import warnings\nwarnings.simplefilter('error')\nwarnings.warn('old')",
}


@pytest.mark.parametrize("what", IMPORTS)
def test_whatever_an_import_raises_is_an_error_of_its_package(install, capsys, what):
    import warnings

    with warnings.catch_warnings():
        install("stranger", {"odd": "Odd"}, source=IMPORTS[what])
        code, out, err = hubtl_command(["show", "odd"], capsys)
        assert (code, out) == (2, "")
        assert err.startswith("error: strategy 'odd' of stranger 1.2 does not load: ")
        assert len(err.splitlines()) == 2
        assert err.splitlines()[1].startswith("try:   ")
        code, out, _ = hubtl_command(["list", "strategies"], capsys)
        assert code == 0
        assert "odd  (stranger 1.2)" in out
        assert "dann" in out


def test_the_doctor_names_all_that_are_broken_and_goes_on(install, capsys):
    install("first", {"one": "Odd"}, source="import sys\nsys.exit(0)")
    install("second", {"two": "Odd"}, source="Odd = None")
    code, out, err = hubtl_command(["doctor"], capsys)
    assert code == 2
    assert "strategy 'one' of first 1.2 does not load: SystemExit" in out
    assert "strategy 'two' of second 1.2 is no strategy: it is None" in out
    assert err.startswith("error: 2 plugins cannot be loaded")


@pytest.mark.parametrize("metadata", ["", "Name: stranger\n", "Version: 1\n", "\x00\x01", "Name:\nVersion:\n"])
def test_damaged_metadata_of_a_package_harm_no_other(install, tmp_path, metadata, capsys):
    install("stranger", {"odd": "Odd"}, source=STRATEGY)
    (tmp_path / "stranger" / "stranger-1.2.dist-info" / "METADATA").write_text(metadata)
    plugins.entries.cache_clear()
    assert plugins.load("strategies", "dann").__name__ == "DANN"
    assert hubtl_command(["list"], capsys)[0] == 0


def test_another_combiner_does_not_take_the_place_of_hubtls(install):
    install(
        "stranger", {"strategies": "combine"}, source="def combine(name, parts): return None", group="hubtl.combiners"
    )
    assert plugins.load("strategies", "dann+mcc").names == ("dann", "mcc")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two domains of two classes, eight grey images each."""
    home = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for domain in ("source", "target"):
        for level, name in enumerate(("dark", "light")):
            (home / domain / name).mkdir(parents=True)
            for i in range(8):
                pixels = (rng.integers(0, 60, (16, 16)) + 180 * level).astype(np.uint8)
                Image.fromarray(pixels).save(home / domain / name / f"{i}.png")
    return home


def adapt(capsys, data, folder, *more, strategy="odd", model="lenet", steps="2"):
    line = ["adapt", "--model", model, "--no-pretrained", "--image-size", "16", "--steps", steps, "--batch-size", "4"]
    line += ["--source-dataset", str(data / "source"), "--target-dataset", str(data / "target"), "--quiet"]
    line += [
        "--strategy",
        strategy,
        "--output-dir",
        str(folder),
        "--set",
        "run.plots=false",
        "--set",
        "run.baseline=false",
    ]
    return hubtl_command([*line, *more], capsys)


def refused(result, who="strategy 'odd' of stranger 1.2"):
    code, out, err = result
    assert code == 2, (code, err)
    assert out == ""
    lines = err.splitlines()
    assert len(lines) == 2, err
    assert lines[0].startswith("error: ")
    assert who in lines[0]
    assert lines[1].startswith("try:   ")
    return lines[0]


LOSS = "self.task.loss(self.head(self.encode(source).pooled), source.labels)"
STEPS = {
    "returns a loss": (f"return Loss({LOSS})", "returned Loss: a step must yield"),
    "returns None": ("return None", "returned NoneType"),
    "returns a list": (f"return [Loss({LOSS})]", "returned list"),
    "yields a tensor": (f"yield {LOSS}", "yields Tensor"),
    "yields None": ("yield", "yields NoneType"),
    "yields a number": ("yield 0.5", "yields float"),
    "yields a pair": (f"yield {LOSS}, {{}}", "yields tuple"),
    "yields nothing": ("if False: yield", "yielded no loss"),
    "yields more on another update": (
        f"yield Loss({LOSS})\n        if at.step: yield Loss({LOSS})",
        "yielded 2 losses, and 1 before",
    ),
    "yields fewer on another update": (
        f"yield Loss({LOSS})\n        if not at.step: yield Loss({LOSS})",
        "yielded 1 losses, and 2 before",
    ),
    "yields without end": (f"while True: yield Loss({LOSS})", "yields 256 losses and goes on"),
    "yields in no_grad": (f"with torch.no_grad(): yield Loss({LOSS})", "no_grad"),
    "a NaN loss": (f"yield Loss({LOSS} * float('nan'))", "is not finite at update 1"),
    "an infinite loss": (f"yield Loss({LOSS} + float('inf'))", "is not finite at update 1"),
    "a loss that is NaN later": (f"yield Loss({LOSS} * (float('nan') if at.step else 1))", "is not finite at update 2"),
    "a loss without gradient": (f"yield Loss({LOSS}.detach())", "nothing learns from"),
    "a constant loss": ("yield Loss(torch.tensor(1.0))", "nothing learns from"),
    "a loss for each row": ("yield Loss(self.head(self.encode(source).pooled).sum(1))", "of shape (4,), not a scalar"),
    "a loss of one row": (f"yield Loss({LOSS}.reshape(1))", "of shape (1,), not a scalar"),
    "an integer loss": ("yield Loss(torch.tensor(1))", "total is torch.int64"),
    "a complex loss": (f"yield Loss({LOSS} * 1j)", "total is torch.complex64"),
    "a number for a total": ("yield Loss(1.0)", "total is a float"),
    "no total": ("yield Loss(None)", "total is a NoneType"),
    "a number in the logs": (f"yield Loss({LOSS}, logs={{'a': 1.0}})", "log 'a' is a float"),
    "a vector in the logs": (f"yield Loss({LOSS}, logs={{'a': torch.zeros(3)}})", "log 'a' is a Tensor of shape"),
    "NaN in the logs": (f"yield Loss({LOSS}, logs={{'a': torch.tensor(float('nan'))}})", "is not finite"),
    "a list for logs": (f"yield Loss({LOSS}, logs=[1])", "logs are a list"),
    "a text for groups": (f"yield Loss({LOSS}, by='head')", "by is 'head'"),
    "groups that there are not": (f"yield Loss({LOSS}, by=('tail',))", "names groups ['tail']"),
    "raises": ("raise RuntimeError('odd')\n        yield", "RuntimeError: odd"),
    "raises late": (f"yield Loss({LOSS})\n        raise KeyError('late')", "KeyError: 'late'"),
    "exits": ("import sys; sys.exit(0)\n        yield", "SystemExit: 0"),
    "raises a BaseException": ("raise BaseException('base')\n        yield", "BaseException: base"),
    "raises StopIteration": ("raise StopIteration\n        yield", "StopIteration"),
    "a wrong shape": ("yield Loss((self.encode(source).pooled @ torch.zeros(3, 3)).sum())", "RuntimeError: "),
    "a stream without labels": (
        "yield Loss(self.task.loss(self.head(self.encode(target).pooled), target.labels))",
        None,
    ),
    "an attribute that is not there": ("yield Loss(self.nothing)", "AttributeError"),
    "a view that is not there": ("yield Loss(self.encode(target.view('strong')).pooled.sum())", "KeyError"),
    "a graph that is gone": (
        f"loss = {LOSS}\n        loss.backward()\n        yield Loss(loss)",
        "RuntimeError",
    ),
}


@contextlib.contextmanager
def names(*words):
    """One error with the package, its version and the fault. It has something to do."""
    with pytest.raises(HubtlError) as caught:
        yield
    for word in words or ("stranger 1.2",):
        assert re.search(word, str(caught.value)), str(caught.value)
    assert caught.value.hint


def trained_on_vectors(strategy):
    tiny.train(
        strategy, {"source": tiny.domains(16)[0], "target": tiny.sealed(tiny.domains(16)[1])}, steps=2, batch_size=4
    )


@pytest.mark.parametrize("what", STEPS)
def test_a_step_that_does_what_it_must_not(install, what):
    body, message = STEPS[what]
    head = STRATEGY.split("        yield Loss")[0]
    install("stranger", {"odd": "Odd"}, source=f"{head}        {body}\n")
    strategy = tiny.build(plugins.load("strategies", "odd"))
    with names(*(["strategy 'odd' of stranger 1.2", re.escape(message)] if message else ["sealed stream"])):
        trained_on_vectors(strategy)
    assert torch.is_grad_enabled()


MADE = {
    "takes no options": ("def __init__(self, encoder, head, task): super().__init__(encoder, head, task)", "TypeError"),
    "takes nothing": ("def __init__(self): pass", "TypeError"),
    "asks for more": ("def __init__(self, encoder, head, task, options, extra): pass", "TypeError"),
    "does not call super": ("def __init__(self, *a): self.x = 1", "that is no strategy|AttributeError"),
    "makes something else": ("def __new__(cls, *a): return 7", "makes a int that is no strategy"),
    "exits when made": ("def __init__(self, *a): raise SystemExit(0)", "SystemExit"),
    "sees what is not there": (
        "def phases(self): return [Phase('a', self.step, ('moon',), self.learners())]",
        "needs a moon stream",
    ),
}
METHODS = {
    "phases are None": ("def phases(self): return None", "gives NoneType for phases"),
    "no phases": ("def phases(self): return []", "gives no phases"),
    "phases are names": ("def phases(self): return ['adapt']", "gives str for a phase"),
    "phases are a number": ("def phases(self): return 3", "gives int for phases"),
    "phases raise": ("def phases(self): return 1 / 0", "ZeroDivisionError"),
    "sees nothing": ("def phases(self): return [Phase('a', self.step, (), self.learners())]", "sees no stream"),
    "sees views of a stream that there are not": (
        "def phases(self): return [Phase('a', self.step, {'source': ('stronger',), 'target': ()}, self.learners())]",
        "of source, not a tuple of views: weak, strong",
    ),
    "sees views that are no tuple": (
        "def phases(self): return [Phase('a', self.step, {'source': 'weak', 'target': ()}, self.learners())]",
        "sees 'weak' of source",
    ),
    "sees a text": ("def phases(self): return [Phase('a', self.step, 'source', self.learners())]", "sees is 'source'"),
    "learns a module": (
        "def phases(self): return [Phase('a', self.step, ('source',), self.head)]",
        "learns is a Linear",
    ),
    "learns a name": ("def phases(self): return [Phase('a', self.step, ('source',), {'head': 'head'})]", "for 'head'"),
    "learns numbers": ("def phases(self): return [Phase('a', self.step, ('source',), {'head': [1, 2]})]", "for 'head'"),
    "a step that is none": (
        "def phases(self): return [Phase('a', None, ('source',), self.learners())]",
        "not a function",
    ),
    "minus one step": (
        "def phases(self): return [Phase('a', self.step, ('source', 'target'), self.learners(), steps=-1)]",
        "steps is -1",
    ),
    "half a step": (
        "def phases(self): return [Phase('a', self.step, ('source', 'target'), self.learners(), steps=0.5)]",
        "steps is 0.5",
    ),
    "a share of NaN": (
        "def phases(self): return [Phase('a', self.step, ('source', 'target'), self.learners(), share=float('nan'))]",
        "share is nan",
    ),
    "no share": (
        "def phases(self): return [Phase('a', self.step, ('source', 'target'), self.learners(), share=0)]",
        "share is 0",
    ),
    "a negative rate": (
        "def phases(self): return [Phase('a', self.step, ('source', 'target'), self.learners(), lr={'head': -1.0})]",
        "lr is",
    ),
    "a refresh that raises": (
        "def phases(self):\n        def refresh(sweep, at): raise ValueError('stale')\n"
        "        return [Phase('a', self.step, ('source', 'target'), self.learners(), refresh=refresh)]",
        "ValueError: stale",
    ),
    "a refresh that takes nothing": (
        "def phases(self):\n        def refresh(): ...\n"
        "        return [Phase('a', self.step, ('source', 'target'), self.learners(), refresh=refresh)]",
        "TypeError",
    ),
    "a step of other streams": (
        "def phases(self): return [Phase('a', self.step, ('source',), self.learners())]",
        "TypeError",
    ),
    "deploys nothing": ("def deployed(self): return None", "deploys a NoneType"),
    "deploys its encoder": ("def deployed(self): return self.encoder", "deploys a Encoder"),
}


@pytest.mark.parametrize("what", METHODS)
def test_a_strategy_that_cannot_be_run(install, what):
    lines, message = METHODS[what]
    install("stranger", {"odd": "Odd"}, source=f"{STRATEGY}\n    {lines}\n")
    with names("strategy 'odd' of stranger 1.2", message):
        strategy = tiny.build(plugins.load("strategies", "odd"))
        deployed_by(strategy)
        list(phases_of(strategy))
        trained_on_vectors(strategy)


@pytest.mark.parametrize("what", MADE)
def test_a_strategy_that_cannot_be_made(install, data, tmp_path, capsys, what):
    lines, message = MADE[what]
    install("stranger", {"odd": "Odd"}, source=f"{STRATEGY}\n    {lines}\n")
    assert re.search(message, refused(adapt(capsys, data, tmp_path / "run")))


ADDED = {
    "a tensor alone": "return pair.zs.sum()",
    "None": "return None",
    "a text": "return 'much', {}",
    "a vector": "return pair.zs.sum(1), {}",
    "three": "return pair.zs.sum(), {}, 1",
    "logs of numbers": "return pair.zs.sum(), {'a': 1.0}",
    "an exit": "raise SystemExit(0)",
    "a wrong product": "return (pair.zs @ pair.zs).sum(), {}",
}


@pytest.mark.parametrize("name", ["odd", "coral+odd"])
@pytest.mark.parametrize("what", ADDED)
def test_an_added_loss_that_is_none_alone_and_in_a_sum(install, what, name):
    install("stranger", {"odd": "Odd"}, source=f"{ADDITIVE}        {ADDED[what]}\n")
    strategy = tiny.build(plugins.load("strategies", name))
    with names("stranger 1.2"):
        trained_on_vectors(strategy)


SCORES = {
    "a tensor": "return torch.tensor(1.0)",
    "NaN": "return float('nan')",
    "an infinite one": "return float('inf')",
    "a text": "return 'good'",
    "None": "return None",
    "a list": "return [1.0]",
    "a complex one": "return 1j",
    "an exception": "raise ValueError('odd')",
    "an exit": "raise SystemExit(0)",
    "a wrong shape": "return float((evidence.target_logits @ evidence.target_logits).sum())",
}


@pytest.mark.parametrize("what", SCORES)
def test_a_score_that_is_none(install, what):
    source = "import torch\nfrom hubtl.judging.validators import Validator\nclass Odd(Validator):\n"
    source += f"    reads = frozenset({{'target_logits'}})\n    def score(self, evidence):\n        {SCORES[what]}\n"
    install("stranger", {"odd": "Odd"}, source=source, group="hubtl.validators")
    evidence = Evidence(step=1, target_logits=torch.randn(4, 3))
    for judge in (scores_of, score_of, measured):
        with names("validator 'odd' of stranger 1.2"):
            judge(rule_of("odd"), evidence)


def test_a_score_that_is_none_ends_a_run(install, data, tmp_path, capsys):
    source = f"{GROUPS['validators']}    reads = frozenset({{'target_logits'}})\n".replace("1.0", "float('nan')")
    install("stranger", {"odd": "Odd"}, source=source, group="hubtl.validators")
    result = adapt(capsys, data, tmp_path / "run", "--validator", "odd", strategy="source-only")
    assert "which is not finite" in refused(result, "validator 'odd' of stranger 1.2")


RULES = {
    "scores of nothing": "def scores(self, evidence): return {}",
    "scores in a list": "def scores(self, evidence): return [1.0]",
    "scores that are NaN": "def scores(self, evidence): return {'a': float('nan')}",
    "too few merits": "def merits(self, judged): return []",
    "merits of texts": "def merits(self, judged): return ['a'] * len(judged)",
    "merits of NaN": "def merits(self, judged): return [float('nan')] * len(judged)",
    "merits that raise": "def merits(self, judged): return 1 / 0",
    "an argument": "def __init__(self, x): ...",
    "an exit": "def __init__(self): raise SystemExit",
}


@pytest.mark.parametrize("what", RULES)
def test_a_rule_that_selects_nothing(install, what):
    install("stranger", {"odd": "Odd"}, source=f"{GROUPS['validators']}    {RULES[what]}\n", group="hubtl.validators")
    with names("validator 'odd' of stranger 1.2"):
        rule = rule_of("odd")
        judged = [scores_of(rule, Evidence(step=step)) for step in (1, 2)]
        merits_of(rule, judged)


TUNERS = {
    "raises": "def apply(self, backbone): raise RuntimeError('odd')",
    "exits": "def apply(self, backbone): raise SystemExit(0)",
    "takes nothing": "def apply(self): ...",
    "takes no options": "def __init__(self): ...\n    def apply(self, backbone): ...",
}


@pytest.mark.parametrize("what", TUNERS)
def test_a_tuner_that_fails(install, data, tmp_path, capsys, what):
    source = f"from hubtl.tuners import Tuner\nclass Odd(Tuner):\n    {TUNERS[what]}\n"
    install("stranger", {"odd": "Odd"}, source=source, group="hubtl.tuners")
    result = adapt(capsys, data, tmp_path / "run", "--tuner", "odd", strategy="source-only")
    refused(result, "tuner 'odd' of stranger 1.2")


TASKS = {
    "a head of other outputs": "def head(self, width): return torch.nn.Linear(width, 7)",
    "a head of other inputs": "def head(self, width): return torch.nn.Linear(width + 1, len(self.classes))",
    "a head that is not linear": "def head(self, width): return torch.nn.Sequential(torch.nn.Linear(width, 2))",
    "no head": "def head(self, width): return None",
    "a head that raises": "def head(self, width): raise ValueError('odd')",
    "a head without an argument": "def head(self): ...",
    "a loss for each row": "def loss(self, logits, labels, weight=None): return logits.sum(1)",
    "a loss that is none": "def loss(self, logits, labels, weight=None): return None",
    "a loss that raises": "def loss(self, logits, labels, weight=None): raise RuntimeError('odd')",
    "a loss that exits": "def loss(self, logits, labels, weight=None): raise SystemExit(0)",
}


@pytest.mark.parametrize("what", TASKS)
def test_a_task_that_fails(install, what):
    source = "import torch\nfrom hubtl.tasks.classification import Classification\nclass Odd(Classification):\n"
    install("stranger", {"odd": "Odd"}, source=f"{source}    {TASKS[what]}\n", group="hubtl.tasks")
    cls = plugins.load("tasks", "odd")
    if "head" in what:
        with names("task 'odd' of stranger 1.2"):
            head_of(cls(["a", "b"]), 32)
        return
    strategy = tiny.build(plugins.load("strategies", "source-only"))
    strategy.task = cls(["a", "b"])
    with names("not a scalar|total is a NoneType" if "row" in what or "none" in what else "stranger 1.2"):
        trained_on_vectors(strategy)


NET = """
import torch
from hubtl.backbones.base import BackboneInfo, ImageInput
from hubtl.backbones.lenet import LeNet, load as lenet
from hubtl.batch import Features

class Net(LeNet):
    def forward(self, inputs, present=None):
        return Features(self.linear(self.convolutions(inputs["image"])))

def load(name, request):
    return Net(lenet("lenet", request).info)
"""
REBUILDS = """
from hubtl.backbones.loader import Loader

class Nets(Loader):
    def load(self, name, request):
        return load(name, request)

    def rebuild(self, folder, outputs, request=None): ...
"""
LOADERS = {
    "None": "def load(name, request): return None",
    "a module of torch": "def load(name, request): return torch.nn.Linear(3, 3)",
    "its class": "def load(name, request): return Net",
    "a pair": "def load(name, request): return Net(lenet('lenet', request).info), None",
    "an exception": "def load(name, request): raise ValueError('odd')",
    "an exit": "def load(name, request): raise SystemExit(0)",
    "no arguments": "def load(): ...",
    "no info": "def load(name, request):\n    net = Net(lenet('lenet', request).info)\n    net.info = None\n    return net",
    "a width of text": (
        "import dataclasses\ndef load(name, request):\n    net = Net(lenet('lenet', request).info)\n"
        "    net.info = dataclasses.replace(net.info, width='500')\n    return net"
    ),
    "another width": (
        "import dataclasses\ndef load(name, request):\n    net = Net(lenet('lenet', request).info)\n"
        "    net.info = dataclasses.replace(net.info, width=7)\n    return net"
    ),
    "an input of text": (
        "import dataclasses\ndef load(name, request):\n    net = Net(lenet('lenet', request).info)\n"
        "    net.info = dataclasses.replace(net.info, input='images')\n    return net"
    ),
}
FORWARDS = {
    "a tensor": "return self.linear(self.convolutions(inputs['image']))",
    "None": "return None",
    "a tuple": "return (torch.zeros(2, 500),)",
    "one row fewer": "return Features(torch.zeros(len(inputs['image']) - 1, 500))",
    "one row for all": "return Features(torch.zeros(500))",
    "another width": "return Features(torch.zeros(len(inputs['image']), 501))",
    "maps": "return Features(torch.zeros(len(inputs['image']), 500, 2, 2))",
    "integers": "return Features(torch.zeros(len(inputs['image']), 500, dtype=torch.long))",
    "an array": "return Features(torch.zeros(len(inputs['image']), 500).numpy())",
    "a text": "return Features('pooled')",
    "an exception": "raise RuntimeError('odd')",
    "an exit": "raise SystemExit(0)",
    "a wrong key": "return Features(inputs['picture'])",
}


def resolve(name):
    return backbones.resolve(name, BackboneRequest(["a", "b"], pretrained=False, image_size=16))


@pytest.mark.parametrize("what", LOADERS)
def test_a_loader_that_loads_no_backbone(install, what):
    install("stranger", {"odd": "load"}, source=f"{NET}\n{LOADERS[what]}\n", group="hubtl.backbones")
    with names("stranger 1.2"):
        resolve("odd")


@pytest.mark.parametrize("what", FORWARDS)
def test_a_backbone_that_makes_no_features(install, what):
    source = f"{NET.split('        return Features')[0]}        {FORWARDS[what]}\n\ndef load(name, request):\n"
    source += "    return Net(lenet('lenet', request).info)\n"
    install("stranger", {"odd": "load"}, source=source, group="hubtl.backbones")
    with names("stranger 1.2"):
        resolve("odd")


def test_a_backbone_of_the_wrong_width_and_one_of_nan_end_a_run(install, data, tmp_path, capsys):
    source = NET.replace("return Features(", "return Features(float('nan') * ") + REBUILDS
    install("stranger", {"odd": "Nets"}, source=source, group="hubtl.backbones")
    code, out, err = adapt(capsys, data, tmp_path / "run", strategy="source-only", model="odd")
    assert (code, out) == (2, "")
    assert "not finite" in err
    install("another", {"wide": "load"}, source=f"{NET}\n{LOADERS['another width']}\n", group="hubtl.backbones")
    refused(adapt(capsys, data, tmp_path / "other", strategy="source-only", model="wide"), "of another 1.2")


TESTTIME = {
    "raises": "def update(self, inputs, logits): raise ValueError('odd')",
    "exits": "def update(self, inputs, logits): raise SystemExit(0)",
    "takes nothing": "def update(self): ...",
    "answers nothing": "def update(self, *a): ...\n    def answer(self, logits): return None",
    "answers fewer": "def update(self, *a): ...\n    def answer(self, logits): return logits[:1]",
    "answers NaN": "def update(self, *a): ...\n    def answer(self, logits): return logits * float('nan')",
    "answers a list": "def update(self, *a): ...\n    def answer(self, logits): return logits.tolist()",
    "asks for more": "def __init__(self, model, options, extra): ...\n    def update(self, *a): ...",
}


@pytest.mark.parametrize("what", TESTTIME)
def test_a_test_time_method_that_fails(install, what):
    source = (
        f"from hubtl.testtime import TestTime\nclass Odd(TestTime):\n    learns = 'nothing'\n    {TESTTIME[what]}\n"
    )
    install("stranger", {"odd": "Odd"}, source=source, group="hubtl.testtime")
    with names("test-time method 'odd' of stranger 1.2"):
        make(plugins.load("testtime", "odd"), torch.nn.Linear(3, 2), {"guard": 0}).predict(torch.randn(4, 3))


def test_options_that_have_no_default_are_asked_for(install, data, tmp_path, capsys):
    source = STRATEGY.replace('    "Odd."', "    class Options(StrategyOptions):\n        weight: float\n")
    install("stranger", {"odd": "Odd"}, source=source)
    code, _, err = adapt(capsys, data, tmp_path / "run")
    assert code == 2
    assert "strategy.weight is missing" in err


def test_the_same_plugin_without_a_fault_trains(install, data, tmp_path, capsys):
    install("stranger", {"odd": "Odd"}, source=STRATEGY)
    code, _, err = adapt(capsys, data, tmp_path / "run")
    assert (code, (tmp_path / "run" / "record.json").exists()) == (0, True), err
