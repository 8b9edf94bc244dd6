"""Classification stays in its wing: the host files that name its words are counted, and become no more."""

import pytest

from tests.house.classwords import MOST, found, named, texts


def test_no_more_host_files_name_classification_words():
    files = found()
    assert len(files) <= MOST, f"{len(files)} do (python -m tests.house.classwords): {', '.join(files)}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("match_classes", ["classes"]),
        ("ClassScore", ["class score"]),
        ("TARGET_LABELS_PER_CLASS", ["per class"]),
        ("macro_f1", ["f1"]),
        ("label2id", ["label2id"]),
        ("The accuracy of 3 classes", ["accuracy", "classes"]),
        ("ClassVar", []),
        ("strategy_class", []),
        ("critic_accuracy is no accuracy", ["accuracy"]),
    ],
)
def test_a_name_counts_by_its_parts(text, words):
    assert sorted(named(text)) == words


def test_docstrings_do_not_count_and_names_and_texts_do():
    source = '"""Classes."""\nfrom a import accuracy as b\ndef f(x):\n    """Softmax."""\n    return x.argmax(confusion=f"{x} f1")'
    assert {word for text in texts(source) for word in named(text)} == {"accuracy", "argmax", "confusion", "f1"}
