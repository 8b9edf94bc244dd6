"""Miniature trees of classic data sets: pictures whose colour tells their label."""

import gzip
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image as Picture

Labels = dict[str, dict[str, dict[str, int]]]  # split -> image -> name -> value
COLOURS = {"dog": (200, 30, 30), "cat": (30, 200, 30), "mug": (30, 30, 200), "bus": (200, 200, 30)}


def picture(path: Path, name: str | None = None, number: int = 0) -> None:
    """Write a picture of 32 × 32 in the colour of a name."""
    noise = np.random.default_rng([number, len(name or "")]).integers(-25, 26, (32, 32, 3))
    pixels = np.clip(np.array(COLOURS.get(name or "", (90, 90, 90))) + noise, 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Picture.fromarray(pixels).save(buffer, "JPEG" if path.suffix.lower() in (".jpg", ".jpeg") else "PNG", quality=95)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(buffer.getvalue())


def text(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def folders(
    root: Path, names: Sequence[str] = ("cat", "dog"), rows: int = 6, suffix: str = ".jpg", start: int = 0
) -> Path:
    """A folder for each name."""
    for name in names:
        for number in range(start, start + rows):
            picture(root / name / f"{number}{suffix}", name, number)
    return root


def imagenet(root: Path, rows: int = 6) -> Path:
    """Folders of WordNet ids, and their file of names."""
    for split in ("train", "val"):
        for wnid, name in (("n02084071", "dog"), ("n02121620", "cat")):
            for number in range(rows):
                picture(root / split / wnid / f"{wnid}_{split}_{number}.JPEG", name, number)
    text(root / "LOC_synset_mapping.txt", "n02084071 dog, domestic dog", "n02121620 cat, true cat")
    return root


def tiny_imagenet(root: Path, rows: int = 6) -> Path:
    ids = {"n02084071": "dog", "n02121620": "cat"}
    lines = []
    for wnid, name in ids.items():
        for number in range(rows):
            picture(root / "train" / wnid / "images" / f"{wnid}_{number}.JPEG", name, number)
        text(root / "train" / wnid / f"{wnid}_boxes.txt", f"{wnid}_0.JPEG\t0\t0\t62\t62")
        for number in range(3):
            file = f"val_{len(lines)}.JPEG"
            picture(root / "val" / "images" / file, name, 100 + number)
            lines.append(f"{file}\t{wnid}\t0\t0\t62\t62")
    picture(root / "test" / "images" / "test_0.JPEG")
    text(root / "val" / "val_annotations.txt", *lines)
    text(root / "words.txt", "n00001740\tentity", "n02084071\tdog, domestic dog", "n02121620\tcat")
    text(root / "wnids.txt", *ids)
    return root


def voc(
    year: Path, labels: Mapping[str, Mapping[str, Mapping[str, int]]], *, lists: bool = True, xml: bool = False
) -> Path:
    """A year of a VOCdevkit: split -> image -> name -> −1, 0 (difficult) or 1."""
    names = sorted({name for split in labels.values() for own in split.values() for name in own})
    for split, images in labels.items():
        text(year / "ImageSets" / "Main" / f"{split}.txt", *images)
        for number, (image, own) in enumerate(images.items()):
            picture(year / "JPEGImages" / f"{image}.jpg", next((n for n, v in own.items() if v == 1), None), number)
            things = [(name, value) for name, value in own.items() if value >= 0]
            objects = "".join(
                f"<object><name>{name}</name><difficult>{1 - value}</difficult></object>" for name, value in things
            )
            if xml:
                text(year / "Annotations" / f"{image}.xml", f"<annotation>{objects}</annotation>")
        for name in names if lists else ():
            lines = [f"{image} {own.get(name, -1):2}" for image, own in images.items()]
            text(year / "ImageSets" / "Main" / f"{name}_{split}.txt", *lines)
    return year


def voc_labels(
    splits: Sequence[str] = ("train", "val"), rows: int = 8, *, several: bool = True
) -> dict[str, dict[str, dict[str, int]]]:
    """Labels of images with dogs and cats in turn; with ``several``, some have both, or a difficult cat."""
    found: Labels = {}
    for place, split in enumerate(splits):
        found[split] = {}
        for number in range(rows):
            own = {"dog": 1, "cat": -1} if number % 2 else {"dog": -1, "cat": 1}
            if several and number == rows - 1:
                own = {"dog": 1, "cat": 1}
            if several and number == rows - 3:
                own = {"dog": 1, "cat": 0}
            found[split][f"{place:03}{number:03}"] = own
    return found


def idx_file(path: Path, values: np.ndarray, kind: int = 8) -> Path:
    """Write an idx file, packed if its name ends in .gz."""
    values = np.asarray(values)
    raw = bytes([0, 0, kind, values.ndim]) + b"".join(int(side).to_bytes(4, "big") for side in values.shape)
    raw += values.astype(np.uint8).tobytes()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(raw) if path.suffix == ".gz" else raw)
    return path


def mnist(folder: Path, prefix: str = "", test: str = "t10k", suffix: str = ".gz", rows: int = 12) -> Path:
    """Images of two digits: 3 is bright above, 7 is bright below."""
    for split, count in (("train", rows), (test, 6)):
        labels = np.array([3, 7] * (count // 2))
        images = np.random.default_rng(count).integers(0, 60, (count, 28, 28))
        images[labels == 3, :14] += 190
        images[labels == 7, 14:] += 190
        idx_file(folder / f"{prefix}{split}-images-idx3-ubyte{suffix}", images)
        idx_file(folder / f"{prefix}{split}-labels-idx1-ubyte{suffix}", labels)
    return folder


def office(root: Path, domains: Sequence[str] = ("amazon", "webcam"), inner: str = "images") -> Path:
    for number, domain in enumerate(domains):
        folders(root / domain / inner if inner else root / domain, ("cat", "dog", "mug"), rows=5, start=10 * number)
    return root


def listed(root: Path, domain: str, split: str, name: str, numbers: Mapping[str, int], rows: Sequence[int]) -> Path:
    """Write a list of a domain's files, ``DOMAIN/NAME/ROW.jpg NUMBER``."""
    lines = [f"{domain}/{label}/{row}.jpg {number}" for label, number in numbers.items() for row in rows]
    return text(root / name.format(domain=domain, split=split), *lines)
