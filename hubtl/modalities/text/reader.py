"""Read texts as token ids of a fixed length."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hubtl.modalities.lengths import Lengths, starts
from hubtl.modalities.reader import Arrays, Reader, known_severity, known_view
from hubtl.modalities.strengths import WordViews

COVERED = 0.99  # of the texts in one window: a batch is cut to its longest row, so that few long ones cost little
LEAST, LONGEST = 64, 512  # tokens of a window that is chosen
BATCH = 32 * 512  # tokens
HARMED = (0.1, 0.2, 0.3, 0.4, 0.5)
CONTINUES = "##"  # WordPiece marks what goes on with a word,
STARTS = ("▁", "Ġ")  # SentencePiece and byte-level BPE what begins one


class TextReader(Reader):
    """Read ``text``: ids [length], int32 and then int64, and ``text.mask``: True for tokens.

    Views and corruptions work on whole words, as far as the tokenizer's pieces show them, and keep at least one.

    Args:
        tokenizer: that of the pretrained model.
        length: tokens of a row, special ones included; longer texts are cut.
        limit: tokens that the model takes; None: as many.
    """

    modality = "text"
    files = False
    strengths = WordViews()

    def __init__(self, tokenizer: Any, length: int, limit: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.length, self.limit = length, limit or length
        self.pad = int(next((i for i in (tokenizer.pad_token_id, tokenizer.eos_token_id) if i is not None), 0))
        self._tables: tuple[np.ndarray, np.ndarray] | None = None

    def pieces(self, ids: Sequence[int]) -> list[str]:
        """Return the tokens of ids as the tokenizer writes them."""
        return [str(token) for token in self.tokenizer.convert_ids_to_tokens(list(ids))]

    def read(self, cell: Any) -> Arrays:
        if not isinstance(cell, str):
            raise ValueError(f"a {type(cell).__name__}, not text")
        return self._padded(np.asarray(self.tokenizer(cell, truncation=True, max_length=self.length)["input_ids"]))

    @property
    def lengths(self) -> Lengths:
        return Lengths(
            option="max_length",
            unit="tokens",
            read=self.length,
            limit=min(self.limit, LONGEST),
            least=min(self.limit, LEAST),
            step=16,
            covers=COVERED,
            batch=BATCH,
            around=sum(self.around),
        )

    @cached_property
    def around(self) -> tuple[int, int]:
        """Return the special tokens before and after a text."""
        whole, bare = (self.tokenizer("a", add_special_tokens=own)["input_ids"] for own in (True, False))
        before = next(n for n in range(len(whole)) if whole[n : n + len(bare)] == bare)
        return before, len(whole) - len(bare) - before

    def described(self, windows: int) -> dict[str, Any]:
        return {"windows": windows, "special": list(self.around)}

    def size(self, cell: Any) -> float:
        return float(len(self._ids(cell)))

    def windows(self, cell: Any, most: int) -> list[Arrays]:
        """Return windows of equally many tokens, evenly over the text.

        Each has special tokens.
        """
        ids = self._ids(cell)
        if len(ids) <= self.length:
            return [self._padded(ids)]
        before, after = self.around
        first, inner, last = ids[:before], ids[before : len(ids) - after], ids[len(ids) - after :]
        window = self.length - before - after
        return [
            self._padded(np.concatenate([first, inner[start : start + window], last]))
            for start in starts(len(inner), window, most)
        ]

    def _ids(self, cell: Any) -> np.ndarray:
        if not isinstance(cell, str):
            raise ValueError(f"a {type(cell).__name__}, not text")
        return np.asarray(self.tokenizer(cell, verbose=False)["input_ids"])

    def _padded(self, ids: np.ndarray) -> Arrays:
        row = np.full(self.length, self.pad, np.int32)
        row[: len(ids)] = ids
        return {"text": row, "text.mask": np.arange(self.length) < len(ids)}

    def empty(self) -> Arrays:
        return self._padded(np.zeros(0, np.int32))

    def noise(self, rng: np.random.Generator, share: float = 1.0) -> Arrays:
        return self._padded(rng.integers(0, len(self.tokenizer), max(2, round(share * self.length))))

    def preparation(self) -> dict[str, Any]:
        """Name the tokenizer with its files, which are in the model's folder."""
        files = {"tokenizer_config.json", *self.tokenizer.vocab_files_names.values()}
        return {
            "tokenizer": type(self.tokenizer).__name__,
            "files": sorted(files),
            "max_length": self.length,
            "truncation": True,
            "special_tokens": True,
            "padding": "right",
            "pad_token_id": self.pad,
        }

    def view(self, arrays: Mapping[str, np.ndarray], name: str, rng: np.random.Generator) -> Arrays:
        """Drop words; a strong view also masks words and drops a run of them. One word at least stays as it is."""
        strong, how = known_view(name), self.strengths
        ids = arrays["text"][arrays["text.mask"]]
        words = self._words(ids)
        count = len(words)
        gone = rng.random(count) < (how.strong_deletion if strong else how.word_dropout)
        masked = np.zeros(count, bool)
        if strong:
            long = int(rng.integers(int(how.strong_span * count) + 1))
            start = int(rng.integers(count - long + 1))
            gone[start : start + long] = True
            masked = rng.random(count) < how.strong_masking
        if (mask := self.tokenizer.mask_token_id) is None:
            gone |= masked
        if (gone | masked).all() and count:
            kept = rng.integers(count)
            gone[kept] = masked[kept] = False
        ids, keep = ids.copy(), np.ones(len(ids), bool)
        for word, left, hidden in zip(words, gone, masked, strict=True):
            keep[word] = not left
            if hidden and mask is not None:
                ids[word] = mask
        return self._padded(ids[keep])

    def corrupt(self, arrays: Mapping[str, np.ndarray], severity: int, rng: np.random.Generator) -> Arrays:
        """Drop 10 to 50 % of the words, or replace them. It changes one word at least; other tokens replace words."""
        share = HARMED[known_severity(severity)]
        ids = arrays["text"][arrays["text.mask"]]
        words = self._words(ids)
        if not words:
            return self._padded(ids)
        harmed = rng.choice(len(words), size=min(len(words), max(1, round(share * len(words)))), replace=False)
        replaced = rng.random(len(harmed)) < 0.5
        if len(harmed) == len(words):
            replaced[0] = True
        ordinary = np.flatnonzero(~self._known()[1])
        keep, ids = np.ones(len(ids), bool), ids.copy()
        for word, other in zip(harmed, replaced, strict=True):
            places = words[int(word)]
            if other:
                own = np.searchsorted(ordinary, ids[places])
                ids[places] = ordinary[(own + rng.integers(1, len(ordinary), size=len(places))) % len(ordinary)]
            else:
                keep[places] = False
        return self._padded(ids[keep])

    def _words(self, ids: np.ndarray) -> list[np.ndarray]:
        """Return positions of the tokens of each word, without special tokens."""
        inside, special = self._known()
        words: list[list[int]] = []
        for place, token in enumerate(ids.tolist()):
            if special[token]:
                continue
            if inside[token] and words and words[-1][-1] == place - 1:
                words[-1].append(place)
            else:
                words.append([place])
        return [np.asarray(word) for word in words]

    def _known(self) -> tuple[np.ndarray, np.ndarray]:
        """Return masks [vocabulary] of tokens that continue a word. The second mask has special ones."""
        if self._tables is None:
            count = len(self.tokenizer)
            tokens = [str(t) for t in self.tokenizer.convert_ids_to_tokens(list(range(count)))]
            if any(t.startswith(STARTS) for t in tokens):
                inside = np.array([not t.startswith(STARTS) for t in tokens])
            else:
                inside = np.array([t.startswith(CONTINUES) for t in tokens])
            special = np.zeros(count, bool)
            special[[i for i in self.tokenizer.all_special_ids if i < count]] = True
            self._tables = inside, special
        return self._tables

    def tensors(self, stacked: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
        return {
            "text": torch.from_numpy(np.asarray(stacked["text"]).astype(np.int64)),
            "text.mask": torch.from_numpy(np.asarray(stacked["text.mask"], dtype=bool)),
        }
