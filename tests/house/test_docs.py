"""The pages are true: links lead somewhere, code runs, the example is the package."""

import re
from pathlib import Path

import pytest
import torch

from hubtl.backbones.base import BackboneRequest
from hubtl.backbones.lenet import load as lenet
from hubtl.errors import HubtlError
from hubtl.judging.validators import Evidence
from hubtl.testing import check
from tests.tiny import accuracy, build, domains, sealed, train

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("plugins/*/*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    targets = [t.split("#")[0] for t in re.findall(r"\]\(([^)\s]+)\)", text) if not t.startswith(("http", "#"))]
    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.fixture(scope="module")
def guide():
    """The names that the Python blocks of docs/plugins.md define. The blocks run one after the other."""
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    names = {"__name__": "guide"}
    for block in re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL):
        exec(compile(block, "docs/plugins.md", "exec"), names)
    return names


def test_the_complete_example_is_the_example_package(guide):
    text = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
    module = (ROOT / "plugins" / "hubtl-example" / "hubtl_example" / "__init__.py").read_text(encoding="utf-8")
    assert f"<!-- example:start -->\n```python\n{module}```\n<!-- example:end -->" in text, "make docs"


@pytest.mark.slow
def test_the_guides_strategies_train(guide):
    source, target = domains(256)
    strategy = build(guide["HeadFirst"])
    trace = train(strategy, {"source": source, "target": sealed(target)}, steps=50)
    assert trace.steps == 50
    assert accuracy(strategy, source) > 0.9
    assert strategy.centre.abs().max() > 0


@pytest.mark.slow
def test_the_guides_strategies_stand_the_suite_as_it_says(guide):
    guide["test_conformance"]()
    check(guide["HeadFirst"])


def test_the_guides_tuner_validator_and_loader_do_what_they_say(guide, tmp_path, monkeypatch):
    backbone = lenet("lenet", BackboneRequest(names=["a", "b"], pretrained=False))
    guide["LastBlock"]().apply(backbone)
    assert {name for name, p in backbone.named_parameters() if p.requires_grad} == {"linear.0.weight", "linear.0.bias"}
    evidence = Evidence(step=1, target_logits=torch.tensor([[0.75, 0.25], [0.5, 0.5]]).log())
    assert guide["Margin"]().score(evidence) == pytest.approx(0.25)
    monkeypatch.setenv("HOUSE_MODELS", str(tmp_path))
    with pytest.raises(HubtlError, match="the house has no model 'scanner'"):
        guide["House"]().load("scanner", BackboneRequest(names=["a", "b"]))
