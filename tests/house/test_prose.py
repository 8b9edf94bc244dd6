"""The prose check passes on the repository. It finds each kind of bad text."""

import pytest

from tests.house.prose import (
    avoided,
    count,
    docstrings,
    findings,
    first_sentence,
    first_word,
    long,
    paragraphs,
    shown,
    without_help,
)

BAD = '''"""Modules may have a title."""


class Box:
    """What a box holds."""

    def weigh(self):
        """The weight, in a ratio that nobody is sure of."""
        return Field(0, help="goes on with " "the run")
'''


def test_the_repository_reads_well():
    found = list(findings())
    assert not found, "\n".join(found)


@pytest.fixture
def repository(tmp_path):
    """Make a repository with one package file, one test and one page."""
    (tmp_path / "hubtl").mkdir()
    (tmp_path / "tests").mkdir()
    (tmp_path / "docs").mkdir()
    (tmp_path / "README.md").write_text("# Title\n\nA short sentence.\n", encoding="utf-8")
    (tmp_path / "CONTRIBUTING.md").write_text("# Title\n", encoding="utf-8")
    return tmp_path


def test_bad_docstrings_and_help_are_found(repository):
    (repository / "hubtl" / "box.py").write_text(BAD, encoding="utf-8")
    found = list(findings(repository))
    assert [line.split(":")[1] for line in found] == ["5", "8", "8", "9"]
    assert "begins with What" in found[0]
    assert "The is no verb" in found[1]
    assert "'sure': say confident" in found[2]
    assert "'goes on with'" in found[3]


def test_tests_may_state_facts_but_not_begin_with_what(repository):
    (repository / "tests" / "test_a.py").write_text('"""The box is sure."""\n', encoding="utf-8")
    assert list(findings(repository)) == []
    (repository / "tests" / "test_a.py").write_text('"""What the box holds."""\n', encoding="utf-8")
    assert len(list(findings(repository))) == 1


def test_bad_pages_are_found(repository):
    sentence = " ".join(["word"] * 36)
    page = f"# Title\n\nStrangers lie here.\n\n{sentence}.\n\n- {sentence}\n\n| {sentence} |\n\n```\n{sentence} nought\n```\n"
    (repository / "docs" / "a.md").write_text(page, encoding="utf-8")
    found = list(findings(repository))
    assert [line.split(":")[1] for line in found] == ["5", "3"]
    assert "36 words" in found[0]
    assert "'Strangers': say third party" in found[1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("make sure that it runs", []),
        ("predictions that are surer", ["surer"]),
        ("an option `sure` of a method", []),
        ("the sources are told apart", ["told apart"]),
        ("``nought`` is a name", []),
        ("of nought", ["nought"]),
        ("pressure and measure", []),
    ],
)
def test_words_to_avoid(text, words):
    assert [word for word, _ in avoided(text)] == words


def test_a_sentence_ends_at_its_full_stop_and_code_is_one_word():
    words = " ".join(["word"] * 20)
    assert long(f"{words}. {words}.") == []
    assert long(f"{words} `a b c d e f g h i j k l m n o p` {words.split(' ', 6)[-1]}.") == []
    assert len(long(f"{words}, {words}.")) == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Return the box. It is heavy.", 3),
        ("Return the box; None: without one.", 3),
        ("Return the box of `a b c` (e.g. a large one),\nas a sum: of parts.", 12),
        ("Return the box\n\nIt is heavy.", 3),
    ],
)
def test_the_first_sentence_of_a_docstring_is_counted(text, words):
    assert count(first_sentence(text)) == words


def test_a_long_first_sentence_is_found(repository):
    (repository / "hubtl" / "losses").mkdir()
    path = repository / "hubtl" / "losses" / "box.py"
    path.write_text(f'"""{" ".join(["Return", *["it"] * 11])}. {" ".join(["more"] * 9)}."""\n', encoding="utf-8")
    assert list(findings(repository)) == []
    path.write_text(f'"""{" ".join(["Return", *["it"] * 12])}."""\n', encoding="utf-8")
    assert ["13 words in the first sentence" in line for line in findings(repository)] == [True]


def test_paragraphs_leave_out_headings_lists_tables_and_code():
    page = "# Title\n\nText here.\n\n- a list\n\n| a | table |\n\n```\ncode\n```\n\nMore\ntext.\n"
    assert list(paragraphs(page)) == [(3, "Text here."), (13, "More\ntext.")]


def test_docstrings_and_texts_come_with_their_lines():
    assert [(line, first_word(text)) for line, _, text in docstrings(BAD)] == [(1, "Modules"), (5, "What"), (8, "The")]
    assert list(shown(BAD)) == [(9, "goes on with the run")]


def test_an_option_without_help_is_found():
    assert list(without_help("a = typer.Option()\nb = typer.Argument(help='Text.')\nc = other.Option()\n")) == [1]
