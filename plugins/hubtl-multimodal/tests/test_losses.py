"""Each loss against a case worked by hand; and none of them fails where a modality is absent from a whole batch."""

import math

import pytest
import torch
from hubtl_multimodal import losses
from hubtl_multimodal.pseudo import agreeing, ensemble, fair_share, pseudo_labels

YES, NO = torch.tensor([True, True]), torch.tensor([False, False])
LN3 = math.log(3)


def logits(*probabilities):
    return torch.tensor(probabilities, requires_grad=True).log()


def test_cross_entropy_is_a_mean_over_the_rows_in_the_mask():
    y = logits([0.5, 0.5], [0.9, 0.1])
    assert losses.cross_entropy(y, torch.tensor([0, 1]), torch.tensor([True, False])).item() == pytest.approx(
        math.log(2)
    )
    weighted = losses.cross_entropy(y, torch.tensor([0, 1]), torch.tensor([1.0, 0.5]))
    assert weighted.item() == pytest.approx((math.log(2) + 0.5 * math.log(10)) / 1.5)


def test_adversary():
    """A source row with odds 3 to 1 costs ln 4/3; a target row with the same costs ln 4; the absent row nothing."""
    s, t = torch.tensor([LN3, -50.0]), torch.tensor([LN3, LN3])
    loss = losses.adversary(s, t, torch.tensor([True, False]), YES)
    assert loss.item() == pytest.approx(0.5 * (math.log(4 / 3) + math.log(4)))
    assert losses.told(s, t, torch.tensor([True, False]), YES).item() == pytest.approx(0.5)


def test_there_is_nothing_to_tell_where_a_domain_lacks_the_modality():
    s = torch.tensor([1.0, 2.0], requires_grad=True)
    loss = losses.adversary(s, s, YES, NO)
    loss.backward()
    assert loss.item() == 0
    assert s.grad is not None
    assert not s.grad.any()


def test_token_adversary_counts_rows_alike():
    """One row of one token with odds 3, another with odds 1; the second has two tokens: ln 4/3 and ln 2 in the source."""
    local = torch.tensor([[LN3, 9.0], [0.0, 0.0]])
    mask = torch.tensor([[True, False], [True, True]])
    loss = losses.token_adversary((local, torch.zeros(2, 2)), (mask, mask), (YES, YES))
    assert loss.item() == pytest.approx(0.5 * ((math.log(4 / 3) + math.log(2)) / 2 + math.log(2)))
    alone = losses.token_adversary((local, torch.zeros(2, 2)), (mask, mask), (torch.tensor([True, False]), YES))
    assert alone.item() == pytest.approx(0.5 * (math.log(4 / 3) + math.log(2)))
    assert losses.token_adversary((local, local), (mask, mask), (NO, YES)).item() == 0


def test_conditioned_is_the_outer_product():
    seen = losses.conditioned(torch.tensor([[1.0, 2.0]]), logits([0.25, 0.75]))
    assert seen[0].tolist() == pytest.approx([0.25, 0.5, 0.75, 1.5])


def test_a_random_projection_keeps_inner_products():
    generator = torch.Generator().manual_seed(0)
    f, y = torch.randn(2, 5, generator=generator), torch.randn(2, 3, generator=generator)
    random = torch.randn(5, 60_000, generator=generator), torch.randn(3, 60_000, generator=generator)
    full, projected = losses.conditioned(f, y), losses.conditioned(f, y, random)
    assert torch.allclose(projected @ projected.T, full @ full.T, atol=0.15)


def test_conditional_adversary_listens_to_sure_rows():
    """A confident and a torn source row, and a confident target row. The weights in the source are 2 and 1.5."""
    y = torch.tensor([[60.0, 0.0], [0.0, 0.0], [60.0, 0.0]])
    w = torch.tensor([2.0, 1.5, 2.0]) / (5.5 / 3)
    loss = losses.conditional_adversary(torch.tensor([0.0, LN3, 0.0]), y, 2)
    expected = 0.5 * ((w[0] * math.log(2) + w[1] * math.log(4 / 3)) / 2 + w[2] * math.log(2))
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)


def test_partners_are_others():
    torch.manual_seed(0)
    for rows in (2, 3, 8):
        for _ in range(20):
            partners = losses.mismatch(rows, torch.device("cpu"))
            assert (partners != torch.arange(rows)).all()
            assert partners.sort().values.tolist() == list(range(rows))


def test_negatives():
    partners = torch.tensor([1, 2, 0])
    assert losses.different(torch.tensor([0, 0, 1]), partners).tolist() == [False, True, True]
    sure = logits([0.9, 0.1], [0.9, 0.1], [0.7, 0.3])
    assert losses.not_surely_alike(sure, partners).tolist() == [False, True, True]


def test_correspondence():
    """The only match has odds 3; of two mismatches one counts, with odds 1; the row without the second modality neither."""
    matched, mismatched = torch.tensor([LN3, 7.0]), torch.tensor([0.0, 7.0])
    has, partners = (YES, torch.tensor([True, False])), torch.tensor([0, 0])
    loss = losses.correspondence(matched, mismatched, has, partners, torch.tensor([True, False]))
    assert loss.item() == pytest.approx(0.5 * (math.log(4 / 3) + math.log(2)))
    assert losses.correspondence(matched, mismatched, (NO, YES), partners, YES).item() == 0


def test_mimicry():
    p, q = logits([0.75, 0.25], [0.5, 0.5]), logits([0.5, 0.5], [0.25, 0.75])
    first = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    second = 0.5 * math.log(2) + 0.5 * math.log(2 / 3)
    assert losses.mimicry(p, q, YES).item() == pytest.approx((first + second) / 2)
    assert losses.mimicry(p, q, torch.tensor([False, True])).item() == pytest.approx(second)
    assert losses.mimicry(p, q, YES, threshold=0.6).item() == pytest.approx(first / 2)
    teacher = torch.zeros(2, 2, requires_grad=True)
    losses.mimicry(teacher, q, YES).backward()
    assert teacher.grad is None


def test_prototype():
    means = torch.tensor([[1.0, 0.0], [0.0, 2.0]])
    loss = losses.prototype(torch.tensor([[5.0, 0.0], [1.0, 1.0]]), torch.tensor([0, 0]), means, torch.tensor([1.0, 0]))
    assert loss.item() == pytest.approx(math.log(1 + math.exp(-10)), rel=1e-3)


def test_contrast():
    """Two rows, two modalities, equal within a row, orthogonal between rows: one positive at 1, two negatives at 0."""
    z = {"a": torch.eye(2) * 3, "b": torch.eye(2)}
    both = {"a": YES, "b": YES}
    loss = losses.contrast(z, both, torch.arange(2), temperature=1.0)
    assert loss.item() == pytest.approx(math.log(math.e + 2) - 1)
    # the second row lacks b: its a has no partner; the first row's have one negative each
    part = losses.contrast(z, {"a": YES, "b": torch.tensor([True, False])}, torch.arange(2), temperature=1.0)
    assert part.item() == pytest.approx(math.log(math.e + 1) - 1)


def test_uncertainty():
    assert losses.uncertainty(logits([0.5, 0.5], [0.5, 0.5])).item() == pytest.approx(0, abs=1e-6)
    sure_and_diverse = losses.uncertainty(torch.tensor([[40.0, 0.0], [0.0, 40.0]]))
    assert sure_and_diverse.item() == pytest.approx(-math.log(2))
    assert losses.uncertainty(torch.tensor([[40.0, 0.0], [40.0, 0.0]])).item() == pytest.approx(0, abs=1e-6)


def test_dominance():
    y = {"image": logits([0.8, 0.2], [0.8, 0.2]), "audio": logits([0.4, 0.6], [0.4, 0.6])}
    factor = losses.dominance(y, torch.tensor([0, 0]), {"image": YES, "audio": YES}, alpha=0.3)
    assert factor["image"].item() == pytest.approx(1 - math.tanh(0.3 * 2))
    assert factor["audio"].item() == 1
    assert losses.dominance({"image": y["image"]}, torch.tensor([0, 0]), {"image": YES})["image"].item() == 1


def test_no_loss_fails_where_a_modality_is_absent_from_a_whole_batch():
    z = torch.randn(2, 3, requires_grad=True)
    y = z @ torch.randn(3, 2)
    labels, partners = torch.tensor([0, 1]), torch.tensor([1, 0])
    weights = torch.zeros(2)
    total = (
        losses.cross_entropy(y, labels, NO)
        + losses.adversary(y[:, 0], y[:, 1], NO, NO)
        + losses.token_adversary((y, y), (torch.zeros(2, 2).bool(),) * 2, (NO, NO))
        + losses.correspondence(y[:, 0], y[:, 1], (NO, YES), partners, YES)
        + losses.mimicry(y, y, NO)
        + losses.prototype(z, labels, torch.zeros(2, 3), weights)
        + losses.contrast({"a": z, "b": z}, {"a": NO, "b": NO}, labels)
        + losses.mean_of([], y)
    )
    total.backward()
    assert total.item() == 0
    assert torch.isfinite(z.grad).all()
    factor = losses.dominance({"a": y, "b": y}, labels, {"a": NO, "b": YES})
    assert all(torch.isfinite(f) for f in factor.values())


def test_ensemble():
    heads = {"image": logits([0.8, 0.2], [0.8, 0.2]), "audio": logits([0.6, 0.4], [0.2, 0.8])}
    present = {"image": torch.tensor([True, False]), "audio": torch.tensor([True, False])}
    p = ensemble(logits([0.5, 0.5], [0.1, 0.9]), heads, present)
    assert p[0].tolist() == pytest.approx([0.6, 0.4])  # half of 0.5 and half of 0.7
    assert p[1].tolist() == pytest.approx([0.1, 0.9])  # nothing is there but the joint


def test_a_fair_share_of_each_class():
    labels = torch.tensor([0, 0, 0, 0, 0, 0, 1, 1])
    confidence = torch.tensor([0.6, 0.9, 0.7, 0.8, 0.5, 0.4, 0.3, 0.2])
    # even share 4: class 0 is predicted six times and gets half of four; class 1 half of its two
    assert fair_share(labels, confidence, 0.5, 2).nonzero()[:, 0].tolist() == [1, 3, 6]
    assert fair_share(labels, confidence, 1.0, 2).nonzero()[:, 0].tolist() == [0, 1, 2, 3, 6, 7]
    assert fair_share(labels, confidence, 0.5, 3).sum() == 3  # a class that nobody predicts


def test_what_agrees_becomes_a_label():
    image, audio, text = (
        logits([0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.1, 0.9]),
        logits([0.7, 0.3], [0.4, 0.6], [0.4, 0.6], [0.4, 0.6]),
        logits([0.4, 0.6], [0.4, 0.6], [0.6, 0.4], [0.6, 0.4]),
    )
    joint = logits([0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.2, 0.8])
    heads = {"image": image, "audio": audio, "text": text}
    present = {name: torch.ones(4, dtype=torch.bool) for name in heads}
    present["text"][2] = False
    label = torch.tensor([0, 0, 0, 1])
    assert agreeing(label, heads, present).tolist() == [2, 1, 1, 2]
    found = pseudo_labels(joint, heads, present, 1.0)
    assert torch.equal(found.labels, label)
    # class 0 has an even share of two: rows 0 and 2, whose absent text does not count; of them row 0 alone has two votes
    assert (found.weight > 0).tolist() == [True, False, False, True]
    assert found.weight[3].item() == pytest.approx(0.5 * (0.8 + (0.9 + 0.6 + 0.4) / 3))
    free = pseudo_labels(joint, heads, present, 1.0, agreement=False)
    assert (free.weight > 0).tolist() == [True, False, True, True]


def test_what_is_certain_needs_no_vote():
    sure, torn = torch.tensor([[9.0, 0.0]]), torch.tensor([[0.0, 9.0]])
    present = {"image": torch.tensor([True]), "audio": torch.tensor([False])}
    assert pseudo_labels(sure, {"image": sure, "audio": torn}, present, 1.0).weight.item() > 0.95
    present["audio"][0] = True
    assert pseudo_labels(sure, {"image": sure, "audio": torn}, present, 1.0).weight.item() == 0


def test_one_modality_has_nothing_to_agree_with():
    one = logits([0.6, 0.4], [0.3, 0.7])
    assert (pseudo_labels(one, {"image": one}, {"image": YES}, 1.0).weight > 0).all()
