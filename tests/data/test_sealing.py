"""Sealed means: the order of the rows says nothing, evaluation labels are the judge's, an oracle is who reads labels."""

import copy
import json
import pickle
from dataclasses import replace
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import hubtl
from hubtl import plugins
from hubtl.data.sealed import kept, unsealed
from hubtl.engine.device import make_accelerator
from hubtl.judging.judge import Judge
from hubtl.judging.validators import Evidence, TargetAccuracy, Validator
from hubtl.recipe.reading import parse
from hubtl.record import RunRecord
from hubtl.run.plan import facts
from hubtl.run.prepare import prepare


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two domains of three classes, each a folder: the rows of both lie sorted by class."""
    root, random = tmp_path_factory.mktemp("sealing"), np.random.default_rng(0)
    for domain, base in (("source", 20), ("target", 60)):
        for number, name in enumerate(("ant", "bee", "cow")):
            (root / domain / name).mkdir(parents=True)
            for i in range(12 if domain == "target" else 20):
                image = random.integers(0, 60, (32, 32, 3)) + base + 40 * number
                Image.fromarray(image.astype(np.uint8)).save(root / domain / name / f"{i:02}.png")
    return root


def recipe(folders, **run):
    return parse(
        {
            "model": {"name": "lenet", "pretrained": False, "image_size": 32},
            "source": str(folders / "source"),
            "target": str(folders / "target"),
            "strategy": "mcc",
            "run": {"steps": 4, "batch_size": 6, "plots": False, "device": "cpu", **run},
        }
    )


@pytest.fixture(scope="module")
def prepared(folders):
    return prepare(recipe(folders))


def truth(images):
    """The class of each target row, by the pictures themselves: brighter from class to class."""
    bright = images.fetch(range(len(images))).inputs["image"].mean(dim=(1, 2, 3)).numpy()
    span = bright.max() - bright.min()
    return np.digitize(bright, [bright.min() + span / 4, bright.max() - span / 4])


def test_a_position_says_nothing_of_the_class(folders, prepared):
    stream = prepared.streams.train["target"]
    classes = truth(stream)
    assert np.bincount(classes).min() >= 8
    batch = stream.fetch(range(len(stream)))
    assert batch.labels is None
    assert batch.index.tolist() == list(range(len(stream)))
    guessed = batch.index.numpy() * 3 // len(stream)  # what told the classes of a sorted folder
    assert (guessed == classes).mean() < 0.6
    assert (classes[1:] == classes[:-1]).mean() < 0.6
    plain = prepared.streams.target_plain
    assert torch.equal(plain.fetch([0, 5, 7]).inputs["image"], plain.fetch(range(9)).inputs["image"][[0, 5, 7]])
    if plain is not stream:
        assert truth(plain).tolist() == classes.tolist()


def test_the_order_is_that_of_the_seed_and_survives_a_loader(folders, prepared):
    again, other = prepare(recipe(folders)), prepare(recipe(folders, seed=1))
    rows = [prepared.streams.train["target"], again.streams.train["target"], other.streams.train["target"]]
    pixels = [images.fetch(range(len(images))).inputs["image"] for images in rows]
    assert torch.equal(pixels[0], pixels[1])
    assert not torch.equal(pixels[0], pixels[2])
    for copied in (pickle.loads(pickle.dumps(rows[0])), copy.deepcopy(rows[0])):
        assert torch.equal(copied.fetch([3, 1]).inputs["image"], pixels[0][[3, 1]])


def test_features_of_a_sealed_stream_are_kept_whatever_the_seed(folders, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("HUBTL_HOME", str(tmp_path))
    from hubtl.run.features import with_features

    def read(seed):
        own = parse({**recipe(folders, seed=seed).model_dump(exclude_unset=True), "tuner": {"name": "head"}})
        ready = prepare(own)
        images = ready.streams.train["target"]
        ready.backbone.load_state_dict(weights or ready.backbone.state_dict())
        weights.update({k: v.clone() for k, v in ready.backbone.state_dict().items()})
        swapped = with_features(ready, make_accelerator(own.run, None)).streams.train["target"]
        assert swapped is not images
        return swapped.fetch(range(len(swapped))).inputs, truth(images)

    weights: dict[str, Any] = {}
    caplog.set_level("INFO", logger="hubtl")
    monkeypatch.setattr("hubtl.settings.logger.propagate", True)
    (first, classes), (second, others) = read(0), read(1)
    key = next(iter(first))
    assert sorted(first[key].sum(dim=1).tolist()) == pytest.approx(sorted(second[key].sum(dim=1).tolist()))
    assert classes.tolist() != others.tolist()
    assert "from the cache" in caplog.text


def walk(thing, most=200_000):
    """Every object that one reaches by attributes, items and closures. Modules and classes are left aside."""
    seen, waiting = set(), [thing]
    while waiting and len(seen) < most:
        now = waiting.pop()
        if id(now) in seen or isinstance(now, (str, bytes, int, float, type, ModuleType)):
            continue
        seen.add(id(now))
        yield now
        if isinstance(now, dict):
            waiting += [*now.values()]
        elif isinstance(now, (list, tuple, set, frozenset)):
            waiting += list(now)
        elif isinstance(now, FunctionType):
            waiting += [cell.cell_contents for cell in now.__closure__ or () if cell is not None]
        else:
            waiting += list(getattr(now, "__dict__", {}).values())
            waiting += [getattr(now, s, None) for s in getattr(type(now), "__slots__", ()) if isinstance(s, str)]


def arrays(thing):
    found = [x.detach().numpy() if isinstance(x, torch.Tensor) else x for x in walk(thing)]
    return [x for x in found if isinstance(x, np.ndarray) and x.ndim == 1]


def test_who_walks_the_streams_finds_no_evaluation_labels(prepared):
    labels = unsealed(prepared.streams.target_eval_labels)
    assert len(labels) == len(prepared.streams.target_eval)
    assert not any(len(found) == len(labels) and (found == labels).all() for found in arrays(prepared))
    assert prepared.streams.target_eval.labels is None
    assert prepared.streams.target_eval.fetch([0]).labels is None
    assert any((found == labels).all() for found in arrays({"there": [labels]}) if len(found) == len(labels))


def test_a_seal_is_nothing_but_itself():
    seal = kept(np.array([1, 2]))
    assert unsealed(copy.deepcopy({"a": seal})["a"]).tolist() == [1, 2]
    assert kept(None) is unsealed(None) is None
    with pytest.raises((TypeError, KeyError)):
        unsealed(pickle.loads(pickle.dumps(seal)))


class Denies(TargetAccuracy):
    """Reads target labels, and says that it does not."""

    oracle = False


class Whole(Validator):
    """Takes all that there is, at one go."""

    reads = frozenset({"target_logits", "target_labels"})
    oracle = False

    def score(self, evidence):
        return float((vars(evidence)["target_labels"] == 0).mean())


class Idle(Validator):
    """Declares labels and reads none."""

    reads = frozenset({"target_logits", "target_labels"})

    def score(self, evidence):
        return float(evidence.target_logits.mean())


class Curious(Validator):
    """Reads what it did not declare: there is nothing."""

    reads = frozenset({"target_logits"})

    def score(self, evidence):
        assert evidence.target_labels is None
        return 0.0


@pytest.mark.parametrize(("rule", "oracle"), [(Denies, True), (Whole, True), (Idle, False), (Curious, False)])
def test_an_oracle_is_who_reads_labels(prepared, monkeypatch, rule, oracle):
    load = plugins.load
    monkeypatch.setattr(plugins, "load", lambda kind, name: rule if name == "own" else load(kind, name))
    judge = Judge(prepared, make_accelerator(prepared.recipe.run, None), "own")
    judge(prepared.build("mcc"), 1)
    assert judge.selection.oracle is oracle


def test_evidence_notes_what_is_read():
    evidence = Evidence(3, target_logits=torch.zeros(2, 2), target_labels=np.array([0, 1]))
    assert evidence.read == frozenset()
    assert evidence.source_logits is None
    assert evidence.target_logits.shape == (2, 2)
    assert evidence.read == {"target_logits"}
    for take in (vars, copy.copy, lambda e: e.target_labels, pickle.dumps):
        fresh = Evidence(3, target_labels=np.array([0, 1]))
        take(fresh)
        assert "target_labels" in fresh.read


def test_a_run_that_denies_its_oracle_is_marked_in_record_and_card(folders, tmp_path, monkeypatch):
    load, entries = plugins.load, plugins.entries
    denies = replace(entries("validators")["last"], name="denies")
    monkeypatch.setattr(plugins, "load", lambda kind, name: Denies if name == "denies" else load(kind, name))
    monkeypatch.setattr(
        plugins, "entries", lambda kind: {**entries(kind), **({"denies": denies} if kind == "validators" else {})}
    )
    done = hubtl.adapt(
        recipe(folders, validator="denies", baseline=False, output_dir=str(tmp_path / "run")).model_dump(
            exclude_unset=True
        )
    )
    assert done.record.selection.oracle
    assert done.record.target_labels == "selection"
    assert "ORACLE" in (tmp_path / "run" / "README.md").read_text()
    assert json.loads((tmp_path / "run" / "record.json").read_text())["selection"]["oracle"] is True
    assert RunRecord.load(tmp_path / "run").selection.oracle


def test_the_plan_says_oracle_of_who_declares_labels(prepared, monkeypatch):
    load = plugins.load
    monkeypatch.setattr(plugins, "load", lambda kind, name: Denies if kind == "validators" else load(kind, name))
    assert facts(prepared, "").selection.oracle
