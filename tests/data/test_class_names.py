"""Names of classes: which of two domains mean the same, and how those that look alike are shown."""

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hubtl.data.names import listed, loose, partners, seen
from hubtl.errors import HubtlError
from hubtl.tasks.classification import matching as labels

PIECES = ["a", "A", "b", "B", "é", "é", "ａ", "1", "2", "1.0", "-", "_", " ", "−", "ß", "ss", "а", "​", "👩", "0", "."]
NAMES = st.lists(st.lists(st.sampled_from(PIECES), max_size=4).map("".join), min_size=1, max_size=8, unique=True)


@settings(max_examples=300, deadline=None)
@given(NAMES, NAMES)
def test_pairs_are_one_to_one_and_equal_names_are_always_paired(ours, theirs):
    try:
        pairs = partners(ours, theirs)
    except HubtlError:
        return
    assert len(set(pairs.values())) == len(pairs)
    assert set(pairs) <= set(theirs)
    assert set(pairs.values()) <= set(ours)
    for name in set(ours) & set(theirs):
        assert pairs[name] == name
    assert all(loose(one) == loose(other) for one, other in pairs.items())


@settings(max_examples=200, deadline=None)
@given(NAMES)
def test_no_two_names_of_one_domain_are_the_same(names):
    assert partners(names, names) == {name: name for name in names}
    assert partners(names, names[::-1]) == {name: name for name in names}


@settings(max_examples=200, deadline=None)
@given(NAMES, NAMES)
def test_what_is_refused_is_ambiguous_and_shown_so_that_it_is_seen(ours, theirs):
    said = ""
    try:
        partners(ours, theirs)
    except HubtlError as error:
        said = str(error)
    groups = [[n for n in {*ours, *theirs} if loose(n) == key] for key in map(loose, ours)]
    clear = all(len(group) < 3 for group in groups)
    assert not (said and clear)
    assert said.isascii()
    assert not said or sum(ascii(name) in said for name in {*ours, *theirs}) >= 3


@settings(max_examples=200, deadline=None)
@given(NAMES)
def test_names_in_a_list_are_told_apart(names):
    assert len({*listed(names).split(", ")}) == len(names)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Back Pack", "back_pack"),
        ("back-pack", "BackPack"),
        ("1", "1.0"),
        ("-1", "-1.0"),
        ("café", unicodedata.normalize("NFD", "café")),
        ("ＡＢＣ", "abc"),
        ("Straße", "STRASSE"),
        (" cat ", "cat"),
        ("1-2", "1_2"),
        ("x\u200by", "xy"),
        ("non–stick", "non-stick"),
    ],
)
def test_two_domains_may_write_a_name_so(one, other):
    assert partners([one, "z"], [other, "z"]) == {other: one, "z": "z"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("-1", "1"),
        ("01", "1"),
        ("1.5", "1"),
        ("1-2", "12"),
        ("A-", "A"),
        ("A+", "A"),
        ("-", "_"),
        ("c", "c#"),
        ("", " x"),
        ("cat", "cаt"),
        ("1.0.0", "1"),
    ],
)
def test_other_names_are_other_classes(one, other):
    assert partners([one], [other]) == {}


def test_an_exact_name_goes_first_and_a_closer_form_before_a_looser():
    assert partners(["A", "a", "B"], ["a", "B", "A"]) == {"a": "a", "B": "B", "A": "A"}
    assert partners(["A", "b"], ["a", "A", "b"]) == {"A": "A", "b": "b"}
    composed, apart = "café", unicodedata.normalize("NFD", "café")
    assert partners([composed, "CAFÉ"], [apart]) == {apart: composed}


def test_two_of_one_domain_for_one_of_the_other_is_refused():
    with pytest.raises(HubtlError, match=r"source: 'A', 'a'; target: '\\uff41'"):
        partners(["A", "a", "z"], ["ａ", "z"])
    with pytest.raises(HubtlError, match=r"the model: 'dog'; target: 'Dog', 'DOG'"):
        labels.match(["dog", "cat"], ["Dog", "DOG", "cat"], called="the model")


def test_what_was_taken_for_the_same_is_in_the_relation_and_said():
    classes, relation = labels.match(["Back Pack", "cat"], ["back_pack", "cat"])
    assert (classes, relation.setting, relation.respelt) == (["Back Pack", "cat"], "closed", {"Back Pack": "back_pack"})
    assert "'Back Pack' = 'back_pack'" in labels.describe(relation)
    _, exact = labels.match(["a", "b"], ["b", "a"])
    assert exact.respelt == {}
    assert "taken for the same" not in labels.describe(exact)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("cat", "cat"),
        ("café", "café"),
        (unicodedata.normalize("NFD", "café"), r"'cafe\u0301'"),
        ("cat ", "'cat '"),
        ("", "''"),
        ("a\u200bb", r"'a\u200bb'"),
        ("\x1b[31mred", r"'\x1b[31mred'"),
        ("\u202egnp", r"'\u202egnp'"),
        ("cаt", r"'c\u0430t'"),
        ("👩\u200d👧", "👩\u200d👧"),
        ("مرحبا", "مرحبا"),
        ("кот", "кот"),
    ],
)
def test_what_nobody_sees_in_a_name_is_shown(name, shown):
    assert seen(name) == shown


def test_look_alikes_of_two_domains_are_shown_with_escapes():
    with pytest.raises(HubtlError, match=r"source: 'cop', dog; target: '\\u0441\\u043e\\u0440', cat"):
        labels.match(["cop", "dog"], ["сор", "cat"])


def test_twenty_thousand_classes_are_matched_at_once():
    names = [f"Class {i}" for i in range(20_000)]
    classes, relation = labels.match(names, [f"class_{i}" for i in range(20_000)])
    assert (len(classes), len(relation.respelt), relation.setting) == (20_000, 20_000, "closed")
    assert "(20000 in all)" in labels.describe(relation)
