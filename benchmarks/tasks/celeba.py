"""CelebA attribute pairs (Liu et al., ICCV 2015): "a photo of a person with bangs" against "... without bangs".

This is the probe with which the NegationCLIP paper (arXiv 2501.10913) shows that CLIP does not read negation: the mean
balanced accuracy over the 40 attributes, where chance is 50 %. The paper gives neither its prompts nor its images, so
those here are our own, and its figure is no `official` score.

Reads list_attr_celeba.txt and list_eval_partition.txt. Of the test split's 19,962 images, `PER_STATE` with and as many
without each attribute are taken, by a hash of the file name: 20,000 items instead of 798,480, whose balanced
accuracy has the same expected value.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Final

from benchmarks.errors import BenchError
from benchmarks.task import BenchItem, Task
from benchmarks.tasks.captions import caption_item, captions_task
from benchmarks.tasks.published_files import check_count, hash_of_files

VERSION = "1"
NAME = "celeba"
ATTRIBUTES = "list_attr_celeba.txt"
PARTITION = "list_eval_partition.txt"
IMAGES = "img_align_celeba"
PUBLISHED: Final = 202_599
"""Images of the published file."""
PER_STATE: Final = 250
"""Images with and without each attribute; the rarest one, Bald, has 423 in the test split."""
TEMPLATES: Final = "a photo of a person with / without (or wearing / not wearing, who is / who is not)"
STATE: Final = "attribute_state"
"""The cut whose values are an attribute, present or absent: the groups of the balanced accuracy."""
_TEST: Final = "2"
_PRESENT, _ABSENT = "1", "-1"
_ROW: Final = re.compile(r"(\d{6}\.jpg)((?: +-?1){40}) *")
_HINT: Final = (
    f"put {ATTRIBUTES}, {PARTITION} and {IMAGES}/ of mmlab.ie.cuhk.edu.hk/projects/CelebA.html there (non-commercial)"
)
_NEGATED: Final = {"with ": "without ", "wearing ": "not wearing ", "who is ": "who is not "}
PHRASES: Final[Mapping[str, str]] = {
    "5_o_Clock_Shadow": "with a five o'clock shadow",
    "Arched_Eyebrows": "with arched eyebrows",
    "Attractive": "who is attractive",
    "Bags_Under_Eyes": "with bags under the eyes",
    "Bald": "who is bald",
    "Bangs": "with bangs",
    "Big_Lips": "with big lips",
    "Big_Nose": "with a big nose",
    "Black_Hair": "with black hair",
    "Blond_Hair": "with blond hair",
    "Blurry": "who is blurry",
    "Brown_Hair": "with brown hair",
    "Bushy_Eyebrows": "with bushy eyebrows",
    "Chubby": "who is chubby",
    "Double_Chin": "with a double chin",
    "Eyeglasses": "wearing glasses",
    "Goatee": "with a goatee",
    "Gray_Hair": "with gray hair",
    "Heavy_Makeup": "wearing heavy makeup",
    "High_Cheekbones": "with high cheekbones",
    "Male": "who is male",
    "Mouth_Slightly_Open": "with a slightly open mouth",
    "Mustache": "with a mustache",
    "Narrow_Eyes": "with narrow eyes",
    "No_Beard": "with a beard",
    "Oval_Face": "with an oval face",
    "Pale_Skin": "with pale skin",
    "Pointy_Nose": "with a pointy nose",
    "Receding_Hairline": "with a receding hairline",
    "Rosy_Cheeks": "with rosy cheeks",
    "Sideburns": "with sideburns",
    "Smiling": "who is smiling",
    "Straight_Hair": "with straight hair",
    "Wavy_Hair": "with wavy hair",
    "Wearing_Earrings": "wearing earrings",
    "Wearing_Hat": "wearing a hat",
    "Wearing_Lipstick": "wearing lipstick",
    "Wearing_Necklace": "wearing a necklace",
    "Wearing_Necktie": "wearing a necktie",
    "Young": "who is young",
}
"""What each attribute affirms, in the file's order. No_Beard affirms that there is none, so its labels are inverted."""
INVERTED: Final = frozenset({"No_Beard"})


def load(folder: Path, pictures: Path | None = None) -> Task:
    """Load the task.

    Args:
        pictures: Folder of the images; None: img_align_celeba/ in `folder`.

    Raises:
        BenchError: A file is missing or not the published one.
    """
    attributes, partition = folder / ATTRIBUTES, folder / PARTITION
    (rows, of_attributes), (splits, of_partition) = _read(attributes), _read(partition)
    of_image, split = _rows(rows, attributes), _split(splits, partition)
    check_count(len(of_image), PUBLISHED, attributes)
    if split.keys() != of_image.keys():
        raise BenchError(f"{partition} lists other images than {ATTRIBUTES}", hint=_HINT)
    test = {image: of_image[image].split() for image, part in split.items() if part == _TEST}
    items = tuple(item for name in PHRASES for item in _items(name, test))
    if not items:
        raise BenchError(f"{partition} lists no test image", hint=_HINT)
    sha256 = hash_of_files({ATTRIBUTES: of_attributes, PARTITION: of_partition})
    task = captions_task(NAME, VERSION, sha256, items, pictures or folder / IMAGES)
    return replace(task, balanced_by=STATE, templates=TEMPLATES)


def captions_of_attribute(name: str) -> tuple[str, str]:
    """Return the affirmative and the negated caption of an attribute."""
    phrase = PHRASES[name]
    start = next(each for each in _NEGATED if phrase.startswith(each))
    return f"a photo of a person {phrase}", f"a photo of a person {_NEGATED[start]}{phrase.removeprefix(start)}"


def _items(name: str, labels: Mapping[str, Sequence[str]]) -> Iterator[BenchItem]:
    """Yield `PER_STATE` images with the attribute, then as many without it; fewer if there are no more.

    Args:
        labels: The 40 labels of each image of the test split.
    """
    captions = captions_of_attribute(name)
    place = list(PHRASES).index(name)
    shuffled = sorted(labels, key=lambda image: _digest(image)[place : place + 8])  # another order for each attribute
    for target, state in enumerate(("present", "absent")):
        label = _PRESENT if (target == 0) is (name not in INVERTED) else _ABSENT
        slices = {"attribute": name, STATE: f"{name} {state}", "state": state}
        for image in islice((image for image in shuffled if labels[image][place] == label), PER_STATE):
            yield caption_item(id=f"{name}/{image}", image=image, captions=captions, target=target, slices=slices)


@lru_cache(maxsize=32_768)
def _digest(image: str) -> bytes:
    return hashlib.sha512(image.encode()).digest()


def _rows(lines: list[str], path: Path) -> dict[str, str]:
    """Return the 40 labels of each image, as text in the order of `PHRASES`."""
    count, header, rows = lines[0].strip(), lines[1].split() if len(lines) > 1 else [], lines[2:]
    if header != list(PHRASES):
        raise BenchError(f"{path}, line 2: expected the names of the 40 attributes", hint=_HINT)
    if count != str(len(rows)):
        raise BenchError(f"{path}, line 1: expected the number of images, {len(rows):,}, got {count!r:.20}", hint=_HINT)
    of_image = {}
    for number, line in enumerate(rows, 3):
        cells = _ROW.fullmatch(line)
        if not cells or cells[1] in of_image:
            raise BenchError(f"{path}, line {number}: expected another image and 40 values, each 1 or -1", hint=_HINT)
        of_image[cells[1]] = cells[2]
    return of_image


def _split(lines: list[str], path: Path) -> dict[str, str]:
    """Return the split of each image: 0 training, 1 validation, 2 test."""
    split = {}
    for number, line in enumerate(lines, 1):
        cells = line.split()
        if len(cells) != 2 or cells[1] not in ("0", "1", _TEST) or cells[0] in split:
            raise BenchError(f"{path}, line {number}: expected another image and 0, 1 or 2", hint=_HINT)
        split[cells[0]] = cells[1]
    return split


def _read(path: Path) -> tuple[list[str], str]:
    """Return the lines that are not empty, and the SHA-256 of the file."""
    try:
        content = path.read_bytes()
        lines = [line for line in content.decode("ascii").splitlines() if line.strip()]
    except FileNotFoundError as error:
        raise BenchError(f"no such file: {path}", hint=_HINT) from error
    except (OSError, UnicodeDecodeError) as error:
        raise BenchError(f"{path} cannot be read: {error}", hint=_HINT) from error
    if not lines:
        raise BenchError(f"{path} is empty", hint=_HINT)
    return lines, hashlib.sha256(content).hexdigest()
