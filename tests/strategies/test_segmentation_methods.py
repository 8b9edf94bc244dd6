"""Methods for segmentation learn images at dusk, where a day's model errs."""

from functools import cache

import pytest
import torch

from hubtl import plugins
from hubtl.errors import HubtlError
from hubtl.losses.sites import block_masked, class_mask, mixed, self_information
from hubtl.run.needs import check_needs
from hubtl.strategies.aad import AAD
from hubtl.strategies.fda import FDA, swapped
from hubtl.strategies.self_training import SelfTraining
from hubtl.strategy import Progress
from hubtl.tasks.classification import Classification
from hubtl.tasks.segmentation import Segmentation
from hubtl.tasks.segmentation.task import NONE
from hubtl.testing.scenes import DAY, DUSK, Scenes, scene_score, scene_strategy
from hubtl.testing.toy import toy_train

EVENING = (0.55, 0.5, 0.8)


@cache
def learnt(name, light, **options):
    source, target = Scenes(DAY, 0), Scenes(light, 1, sealed=True)
    strategy = scene_strategy(plugins.load("strategies", name), **options)
    toy_train(strategy, {"source": source, "target": target}, steps=150, batch_size=16)
    return scene_score(strategy, target), scene_score(strategy, Scenes(DAY, 2))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["self-training", "mic", "mcc", "fda", "fda+entropy", "fda+self-training", "advent"])
def test_places_at_dusk_are_learnt_without_their_labels(name):
    target, _ = learnt(name, DUSK)
    assert target > learnt("source-only", DUSK)[0] + 0.25


@pytest.mark.slow
def test_entropy_learns_a_smaller_shift():
    target, source = learnt("entropy", EVENING)
    assert target > learnt("source-only", EVENING)[0] + 0.25
    assert source > 0.9


@pytest.mark.slow
def test_a_high_weight_of_the_entropy_takes_classes_away():
    assert scene_collapses("entropy", weight=1.0)


def scene_collapses(name, **options):
    strategy = scene_strategy(plugins.load("strategies", name), **options)
    target = Scenes(DUSK, 1, sealed=True)
    toy_train(strategy, {"source": Scenes(DAY, 0), "target": target}, steps=100, batch_size=16)
    strategy.eval()
    with torch.no_grad():
        return len(strategy.deployed()({"image": target.x}).argmax(dim=-1).unique()) < 3


def batches(n=8):
    return Scenes(DAY, 0).fetch(range(n)), Scenes(DUSK, 1, sealed=True).fetch(range(n))


def test_pasted_sites_have_the_sources_pixels_and_labels_and_never_come_from_sites_without_a_class():
    source, target = batches()
    labels = source.labels.unflatten(0, (8, -1))
    mask = class_mask(labels)
    assert not mask[labels == NONE].any()
    for own, chosen in zip(labels, mask, strict=True):
        drawn = set(own[chosen].tolist())
        assert len(drawn) == 2, "of three classes, two"
        assert not drawn & set(own[~chosen].tolist())
    x = mixed(source.inputs["image"], target.inputs["image"], mask)
    pixels = mask.reshape(8, 1, 8, 8).repeat_interleave(2, 2).repeat_interleave(2, 3).expand_as(x)
    assert torch.equal(x[pixels], source.inputs["image"][pixels])
    assert torch.equal(x[~pixels], target.inputs["image"][~pixels])


def test_the_maps_sum_to_the_normalised_entropy_of_their_sites():
    logits = torch.randn(2 * 16, 3, generator=torch.Generator().manual_seed(0))
    maps = self_information(logits, 16)
    assert maps.shape == (2, 3, 4, 4)
    entropy = torch.distributions.Categorical(logits=logits).entropy() / torch.tensor(3.0).log()
    torch.testing.assert_close(maps.sum(dim=1).flatten(), entropy)


def test_swapped_amplitudes_keep_the_phase_and_take_the_mean_colour():
    source, target = (batch.inputs["image"] for batch in batches())
    styled = swapped(source, target, 0.01)
    torch.testing.assert_close(styled.mean(dim=(2, 3)), target.mean(dim=(2, 3)), atol=1e-4, rtol=1e-4)
    centred, kept = (x - x.mean(dim=(2, 3), keepdim=True) for x in (source, styled))
    torch.testing.assert_close(kept, centred, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(swapped(source, source, 0.1), source, atol=1e-4, rtol=1e-4)
    more = swapped(source, target, 0.1)
    before, after = torch.fft.fft2(source), torch.fft.fft2(more)
    torch.testing.assert_close(before[..., 4, 4], after[..., 4, 4], atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(after[..., 0, 1].abs(), torch.fft.fft2(target)[..., 0, 1].abs(), atol=1e-3, rtol=1e-3)


def test_fda_works_on_pixels_before_normalisation_and_changes_every_view_of_the_source():
    plain, normal = scene_strategy(FDA), scene_strategy(FDA)
    normal.mean, normal.std = (0.5, 0.4, 0.3), (0.2, 0.3, 0.4)
    source, target = batches()
    mean, std = (torch.tensor(v).reshape(1, 3, 1, 1) for v in (normal.mean, normal.std))
    x, y = source.inputs["image"], target.inputs["image"]
    expected = plain.styled(x, y)
    torch.testing.assert_close(normal.styled((x - mean) / std, (y - mean) / std) * std + mean, expected)
    styled, same = plain.prepared(source, target, at=Progress(0, 0, 0, 0.0))
    assert same is target
    for name in ("weak", "strong"):
        torch.testing.assert_close(styled.views[name]["image"].mean(dim=(2, 3)), y.mean(dim=(2, 3)))


def test_blocks_of_the_share_are_masked():
    torch.manual_seed(0)
    masked = block_masked(torch.ones(64, 3, 32, 32), 0.125, 0.7) == 0
    assert masked.float().mean() == pytest.approx(0.7, abs=0.03)
    blocks = masked[:, 0].unflatten(1, (8, 4)).unflatten(3, (8, 4)).float().mean(dim=(2, 4))
    assert set(blocks.unique().tolist()) == {0.0, 1.0}


def test_the_teacher_begins_as_the_student_and_is_no_learner_of_a_sum_either():
    strategy = scene_strategy(SelfTraining)
    source, target = batches()
    with torch.no_grad():
        strategy.head.weight.add_(1.0)
    next(strategy.step(source, target, at=Progress(0, 0, 0, 0.0))).total.backward()
    assert torch.equal(strategy.teacher.head.weight, strategy.head.weight)
    with torch.no_grad():
        strategy.head.weight.add_(1.0)
    next(strategy.step(source, target, at=Progress(0, 0, 3, 0.1)))
    torch.testing.assert_close(strategy.teacher.head.weight, strategy.head.weight - 0.75)
    assert all(p.grad is None for p in strategy.teacher.parameters())
    both = scene_strategy(plugins.load("strategies", "fda+self-training"))
    assert "self_training_teacher" not in both.learners()
    assert any(name.startswith("self_training_teacher") for name in both.state_dict())


def test_sites_of_several_sources_stay_with_their_images():
    strategy = scene_strategy(plugins.load("strategies", "coral"))
    source, target = batches(4)
    source = type(source)(source.inputs, source.labels, source.index, domain=torch.tensor([0, 1, 0, 1]))
    pair = strategy.pair(source, target)
    own = pair.of(1)
    assert torch.equal(own.zs, pair.zs.unflatten(0, (4, 64))[[1, 3]].flatten(0, 1))
    assert torch.equal(own.source.labels, source.labels.unflatten(0, (4, 64))[[1, 3]].flatten())


@pytest.mark.parametrize(
    ("cls", "task", "said"),
    [
        (AAD, Segmentation(["a", "b"]), "aad needs one row for each input"),
        (SelfTraining, Classification(["a", "b"]), "self-training works on a grid of predictions"),
    ],
)
def test_a_method_that_does_not_fit_the_task_is_refused_by_name(cls, task, said):
    with pytest.raises(HubtlError, match=said) as caught:
        check_needs(cls, {AAD: "aad"}.get(cls, "self-training"), task)
    assert f"list strategies --task {task.name}" in caught.value.hint
