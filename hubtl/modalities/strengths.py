"""Define how much random views change texts and recordings: ``--set model.strong_masking=0.2``."""

from pydantic import Field

from hubtl.recipe.bounded import Bounded


class WordViews(Bounded):
    """Hold strengths of views of a text. Words are whole words, as far as the tokenizer's pieces show them."""

    word_dropout: float = Field(0.05, ge=0, lt=1, description="share of a text's words that a weak view drops")
    strong_deletion: float = Field(0.1, ge=0, lt=1, description="share of the words that a strong view drops")
    strong_masking: float = Field(
        0.1, ge=0, lt=1, description="share of the words that a strong view replaces by the tokenizer's mask token"
    )
    strong_span: float = Field(
        0.1, ge=0, lt=1, description="longest run of words that a strong view drops, as a share of the text"
    )


class SoundViews(Bounded):
    """Hold strengths of views of a recording."""

    shift: float = Field(0.1, ge=0, lt=1, description="largest shift in time of a view, as a share of the recording")
    weak_gain: float = Field(3.0, ge=0, le=60, description="largest change of loudness of a weak view, in decibels")
    strong_gain: float = Field(6.0, ge=0, le=60, description="largest change of loudness of a strong view, in decibels")
    strong_noise: float | None = Field(
        20.0,
        ge=-20,
        le=100,
        description="least decibels of signal to noise of a strong view, at most 15 more; none: no noise",
    )
    time_masks: float = Field(
        1 / 8, ge=0, le=1, description="widest of two masks in time of a strong view, as a share of the recording"
    )
    band_masks: float = Field(
        1 / 10, ge=0, le=1, description="widest of two masks over frequencies of a strong view, as a share of the bands"
    )


QUIETER = 15.0  # decibels below the loudest noise, at most
