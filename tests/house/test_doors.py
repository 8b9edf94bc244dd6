"""The core knows plugins and modalities by their contracts: no more of its files name one."""

import pytest

from tests.house.doors import MOST_MODALITY, MOST_PLUGIN, modality_files, of_modalities, of_plugin, plugin_files


def test_no_core_file_names_the_plugin_of_several_modalities():
    found = plugin_files()
    assert len(found) <= MOST_PLUGIN, f"{len(found)} do (python -m tests.house.doors): {', '.join(found)}"


def test_no_more_core_files_name_a_modality():
    found = modality_files()
    assert len(found) <= MOST_MODALITY, f"{len(found)} do (python -m tests.house.doors): {', '.join(found)}"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("x = {'image': 1}", ["image"]),
        ("def f(image_column): ...", ["image_column"]),
        ("x = '--audio-column'", ["--audio-column"]),
        ("from hubtl.modalities.text import Text", ["text"]),
        ('"""image"""\nimage = "an image of text"', []),
        ("from hubtl.modalities.base import Modality", []),
    ],
)
def test_a_modality_is_named_by_a_text_a_key_or_an_import(source, found):
    assert of_modalities(source) == found


def test_the_plugin_is_named_anywhere_in_code_and_texts():
    assert of_plugin("import hubtl_multimodal\nx = 'pip install hubtl-multimodal'\n")
    assert not of_plugin('"""hubtl-multimodal"""\nx = 1  # multimodal')
