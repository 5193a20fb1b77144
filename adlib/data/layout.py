"""What lies where in a folder of images: which are good, which defective, which belong to which side, which have masks.

Understood are, with names in any case and with or without "_", "-" and blanks:

    train/good, test/good, test/<kind of defect>      MVTec layout; test/ may be missing, and so may its defects
    validation/good beside them                       normal images for the threshold
    good/, <kind of defect>/                          no published split: some of the good images are drawn for test
    images directly in the folder or in train/        all of them good

"ok", "normal" and some more mean good. What is not understood is an error that asks, or stands in the notes.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from adlib.data.collection import GOOD
from adlib.data.images import has_few_colours, is_hidden, is_image_name, list_images, walk_files, walk_names

LAYOUT = "Expected train/good/, test/good/ and test/<kind of defect>/ with image files in each; or good images only."
SIDES = {
    "train": {"train", "training", "trainset"},
    "validation": {"validation", "val", "valid", "validate"},
    "test": {"test", "testing", "testset"},
}
GOOD_NAMES = {"good", "ok", "okay", "normal", "normals", "pass", "passed", "io", "gut", "intact", "healthy"}
GOOD_NAMES |= {
    "undamaged",
    "goodparts",
    "defectfree",
    "nodefect",
    "nodefects",
    "nondefective",
    "良品",
    "合格",
    "正常",
}
# Names that mean the opposite.
BAD_NAMES = {"ng", "nok", "nio", "bad", "defect", "defects", "defective", "abnormal", "anomaly", "anomalies"}
BAD_NAMES |= {"anomalous", "fail", "failed", "faulty", "reject", "rejected", "rejects", "scrap", "schlecht"}
BAD_NAMES |= {"ausschuss", "defekt", "不良", "不良品", "异常"}
MASK_FOLDERS = {"groundtruth", "gt", "mask", "masks", "labels", "annotations", "segmentations"}
MASK_ENDINGS = ("mask", "masks", "groundtruth", "annotation", "annotations", "segmentation", "segmentations")
MASK_WORD = r"(?:mask|masks|gt|label|labels|seg|segmentation|groundtruth|ground_truth|annotation)"
MASK_NAME = re.compile(rf"(?:{MASK_WORD}[ _.-]+)?(?P<image>.+?)(?:[ _.-]+{MASK_WORD})?", re.IGNORECASE)
FEW_COLOURS = 32  # of a mask: background, a class or two, and the edges that a program has softened
MASK_HINT = re.compile(r"mask|gt|label|seg|truth|annotation|\.", re.IGNORECASE)


@dataclass(frozen=True)
class Item:
    """One image of the folder; side is "train", "validation", "test", or "" where the folder has no sides."""

    path: Path
    side: str
    kind: str
    mask: Path | None = None


@dataclass
class Layout:
    """The images of a folder, and what should be known about how they were sorted.

    items: in the order of the sides, each sorted by kind and name. hidden: images that are
    passed over, see `adlib.data.images.walk_files`.
    """

    root: Path
    items: list[Item]
    notes: list[str] = field(default_factory=list)
    hidden: list[Path] = field(default_factory=list)

    def count(self, side: str, good: bool) -> int:
        """How many good, or defective, images a side has."""
        return sum(item.side == side and (item.kind == GOOD) == good for item in self.items)


def plain(name: str) -> str:
    """A name without case and without "_", "-", "." and blanks: "Ground Truth" is "groundtruth"."""
    return re.sub(r"[\W_]+", "", name).lower()


def is_good(name: str) -> bool:
    """Whether a folder of this name holds good images."""
    return plain(name) in GOOD_NAMES


def is_mask_folder(name: str) -> bool:
    """Whether a folder of this name holds masks: "Ground Truth", "GT", "labels", "defect_masks"."""
    return plain(name) in MASK_FOLDERS or plain(name).endswith(MASK_ENDINGS)


def read_layout(root: Path) -> Layout:
    """Sort the images of a folder.

    Raises:
        FileNotFoundError: no such folder, or nothing to train on in it. ValueError: an arrangement that can be
            understood in two ways.
    """
    _check_root(root)
    sides = find_sides(root)
    layout = Layout(root, [])
    for _ in walk_files(root, layout.hidden):
        pass
    if "train" in sides:
        for side, folder in sides.items():
            _add_side(layout, side, folder)
    elif sides:
        there = ", ".join(folder.name for folder in _visible_folders(root))
        raise FileNotFoundError(f"'{root}' has no folder 'train'; it has {there}.\n{LAYOUT}")
    else:
        _add_unsorted(layout, _visible_folders(root))
    layout.items = with_masks(layout)
    check_sides(layout)
    left = _overlooked(layout)
    if left:
        layout.notes.append(f"{_describe(left)} and were left out.")
    return layout


def _check_root(root: Path) -> None:
    if root.is_file():
        archive = root.suffix.lower() in {".zip", ".tar", ".gz", ".tgz", ".7z", ".rar", ".xz"}
        what = "is an archive; unpack it first" if archive else "is a file, not a folder"
        raise FileNotFoundError(f"'{root}' {what}.\n{LAYOUT}")
    if not root.is_dir():
        where = "" if root.is_absolute() else f" Relative paths start at '{Path.cwd()}'."
        raise FileNotFoundError(f"'{root}' is not a folder.{where}\n{LAYOUT}")


def _visible_folders(folder: Path) -> list[Path]:
    with os.scandir(folder) as entries:  # which says what is a folder without asking for each file
        names = [
            entry.name
            for entry in entries
            if entry.is_dir(follow_symlinks=False) or (entry.is_symlink() and os.path.isdir(entry.path))
        ]
    return sorted(folder / name for name in names if not is_hidden(name))


def find_sides(root: Path) -> dict[str, Path]:
    """The folders of "train", "validation" and "test", by whatever name, as far as they are there.

    Raises:
        ValueError: two folders that mean the same side, such as val/ and validation/.
    """
    folders = _visible_folders(root)
    sides = {side: _only_one(root, [f for f in folders if plain(f.name) in SIDES[side]]) for side in SIDES}
    return {side: folder for side, folder in sides.items() if folder is not None}


def _only_one(root: Path, folders: list[Path]) -> Path | None:
    """The folder of a side; a few names mean the same, and two of them side by side are a question."""
    holding = [folder for folder in folders if any(_images_below(folder))] or folders
    if len(holding) > 1:
        names = " and ".join(f"'{folder.name}'" for folder in holding)
        raise ValueError(f"'{root}' has {names}, which mean the same.\nPut their images into one folder.")
    return holding[0] if holding else None


def _images_below(folder: Path) -> Iterable[Path]:
    return (file for file in walk_files(folder) if is_image_name(file.name))


def _kind_folders(folder: Path) -> list[Path]:
    """Folders of kinds: those of masks are none."""
    return [entry for entry in _visible_folders(folder) if not is_mask_folder(entry.name)]


def _add_side(layout: Layout, side: str, folder: Path) -> None:
    kinds = _kind_folders(folder)
    for kind_folder in kinds:
        good = is_good(kind_folder.name)
        files = without_masks(kind_folder)
        if side != "test" and not good and any(_images_below(kind_folder)):
            purpose = (
                "detectors train on normal images"
                if side == "train"
                else "thresholds are set from normal images"
            )
            raise ValueError(
                f"'{kind_folder}' is a {side.replace('train', 'training')} folder of kind '{kind_folder.name}';"
                f" expected {folder.name}/good only, {purpose}.\nMove defective images to test/; if they are good,"
                " rename the folder to 'good'."
            )
        if good and kind_folder.name != GOOD and files:
            layout.notes.append(f"{folder.name}/{kind_folder.name} is taken as the folder of good images.")
        layout.items += [Item(file, side, GOOD if good else kind_folder.name) for file in files]
    direct = without_masks(folder)
    if side != "test" and direct and not any(item.side == side for item in layout.items):
        layout.notes.append(f"The {len(direct)} images directly in {folder.name}/ are taken as good.")
        layout.items += [Item(file, side, GOOD) for file in direct]


def _add_unsorted(layout: Layout, folders: list[Path]) -> None:
    """A folder without train/: good/ and kinds of defect side by side, or good images only."""
    root = layout.root
    kinds = [folder for folder in folders if not is_mask_folder(folder.name) and any(_images_below(folder))]
    good = [folder for folder in kinds if is_good(folder.name)]
    direct = without_masks(root)
    if good:
        for folder in kinds:
            kind = GOOD if folder in good else folder.name
            layout.items += [Item(file, "", kind) for file in without_masks(folder)]
        defects = [folder.name for folder in kinds if folder not in good]
        layout.notes.append(
            f"There is no train/: {', '.join(folder.name for folder in good)} is taken as good"
            + (f", {', '.join(defects)} as defective." if defects else ".")
        )
    elif direct:
        layout.items += [Item(file, "", GOOD) for file in direct]
        layout.notes.append(
            f"There is no train/: the {len(direct)} images directly in the folder are taken as good."
        )
    elif kinds:
        inner = [
            folder
            for folder in kinds
            if any(plain(f.name) in SIDES["train"] for f in _visible_folders(folder))
        ]
        hint = (
            f"Did you mean '{inner[0]}'?"
            if inner
            else "Call the folder of good images 'good', or give its path."
        )
        names = ", ".join(folder.name for folder in kinds)
        raise FileNotFoundError(
            f"'{root}' has no folder 'train', and which of its folders ({names}) holds good images is not"
            f" known.\n{hint} {LAYOUT}"
        )


def mask_of_image(stem: str) -> str:
    """The name of the image that a mask of this name belongs to, lower case: "007" for "007_GT" and "mask-007"."""
    match = MASK_NAME.fullmatch(stem)
    name = match["image"] if match else stem
    return (os.path.splitext(name)[0] if is_image_name(name) else name).lower()


def without_masks(folder: Path) -> list[Path]:
    """Images of a folder without the masks that lie beside them: of 007.jpg, 007_mask.png is one, and see `_twins`."""
    files = list_images(folder)
    beside = _masks_beside([str(file) for file in files])
    return [file for file in files if str(file) not in beside]


def mask_files(folder: Path, files: list[str]) -> list[str]:
    """Those of the image files below a folder that are masks: by their folder, or by an image beside them."""
    images = [file for file in files if is_image_name(file)]
    inside = {
        place: any(is_mask_folder(part) for part in os.path.relpath(place, folder).split(os.sep))
        for place in {os.path.dirname(file) for file in images}
    }
    beside = _masks_beside(images)
    return [file for file in images if inside[os.path.dirname(file)] or file in beside]


def _masks_beside(files: list[str]) -> dict[str, str]:
    """Masks among image files -> the name of the image in the same folder that each belongs to, lower case."""
    by_name: dict[str, list[str]] = {}  # path without ending, the name in lower case
    for file in files:
        place, _, name = file.rpartition(os.sep)
        by_name.setdefault(f"{place}{os.sep}{name.rpartition('.')[0].lower()}", []).append(file)
    masks: dict[str, str] = {}
    for path, same in by_name.items():
        if len(same) == 2 and (twins := _twins(same)):
            masks |= dict.fromkeys(twins, os.path.basename(path))
        elif MASK_HINT.search(
            path, path.rindex(os.sep)
        ):  # most names of a large folder have none; looking is quick
            place, stem = os.path.split(path)
            image = mask_of_image(stem)
            if image != stem and f"{place}{os.sep}{image}" in by_name:
                masks |= dict.fromkeys(same, image)
    return masks


def _twins(files: list[str]) -> list[str]:
    """Of two files with one name and other endings, such as 007.jpg and 007.png, the one that is a mask of the other.

    A mask has few grey values or colours; if both have, or neither, there is none.
    """
    few = [file for file in files if has_few_colours(file, FEW_COLOURS)]
    return few if len(few) == 1 else []


def with_masks(layout: Layout) -> list[Item]:
    """The items, each with its mask where there is one; what fits nowhere is noted.

    Raises:
        ValueError: there are masks, and none fits an image; or several fit one, or one fits several.
    """
    above = {place for item in layout.items for place in (item.path.parent, item.path.parent.parent)}
    places = {layout.root} | above - {layout.root.parent}
    roots = sorted(f for place in places for f in _visible_folders(place) if is_mask_folder(f.name))
    indices = {folder: _index(folder) for folder in roots}
    beside: dict[Path, dict[tuple[str, str], list[Path]]] = {}
    items, used = [], Counter[Path]()
    for item in layout.items:
        folder = item.path.parent
        if folder not in beside:
            beside[folder] = _index(folder, beside=True)
        stem = item.path.stem.lower()
        near = {layout.root, folder, folder.parent} if item.side in ("", "test") else set()
        fitting = [
            file
            for place, index in indices.items()
            if place.parent in near
            for file in _lookup(index, folder.name.lower(), stem)
        ]
        fitting = fitting or beside[folder].get(("", stem), [])
        mask = _choose(item.path, fitting)
        used.update([mask] if mask else [])
        items.append(replace(item, mask=mask))
    _check_shared(items, used)
    beside_images = sum(item.mask is not None and item.mask.parent == item.path.parent for item in items)
    if beside_images:
        layout.notes.append(
            f"{beside_images} files that lie beside an image and are named after it are taken as its mask."
        )
    every = {file for index in indices.values() for files in index.values() for file in files}
    unused = sorted(every - set(used))
    if unused and not used and any(item.kind != GOOD for item in items):
        example = unused[0].relative_to(layout.root).as_posix()
        raise ValueError(
            f"none of the {len(unused)} masks in '{layout.root}' fits an image, e.g. '{example}'.\nName the mask of "
            "test/crack/007.jpg ground_truth/crack/007_mask.png, or move the masks out of the folder."
        )
    if unused:
        example = unused[0].relative_to(layout.root).as_posix()
        layout.notes.append(f"{len(unused)} masks fit no image and were left out (e.g. {example}).")
    return items


def _index(folder: Path, beside: bool = False) -> dict[tuple[str, str], list[Path]]:
    """(name of the folder below `folder`, name of the image), both lower case -> files of masks."""
    index: dict[tuple[str, str], list[Path]] = {}
    if beside:
        for mask, image in _masks_beside([str(file) for file in list_images(folder)]).items():
            index.setdefault(("", image), []).append(Path(mask))
        return index
    for file in sorted(_images_below(folder)):
        kind = "" if file.parent == folder else file.parent.name.lower()
        for stem in {file.stem.lower(), mask_of_image(file.stem)}:
            index.setdefault((kind, stem), []).append(file)
    return index


def _lookup(index: dict[tuple[str, str], list[Path]], kind: str, stem: str) -> list[Path]:
    """Masks of an image: below the folder of its kind, or directly in the folder of masks."""
    return index.get((kind, stem)) or index.get(("", stem)) or []


def _choose(image: Path, masks: list[Path]) -> Path | None:
    """The mask of an image; of 007.png and 007_mask.png the one that calls itself a mask."""
    named = [mask for mask in masks if mask.stem.lower() != image.stem.lower()]
    fitting = named or masks
    if len(fitting) > 1:
        names = ", ".join(f"'{mask}'" for mask in fitting)
        raise ValueError(
            f"image '{image}' has {len(fitting)} masks: {names}.\nKeep one; where it shows several defects, draw them"
            " into one mask."
        )
    return fitting[0] if fitting else None


def _check_shared(items: list[Item], used: Counter[Path]) -> None:
    shared = next((mask for mask, count in used.items() if count > 1), None)
    if shared is not None:
        images = ", ".join(f"'{item.path}'" for item in items if item.mask == shared)
        raise ValueError(
            f"mask '{shared}' fits several images: {images}.\nPut the masks into a folder per kind, e.g."
            " ground_truth/crack/."
        )


def _overlooked(layout: Layout) -> list[Path]:
    """Visible files that are none of the images or masks, relative to the folder."""
    taken = {str(item.path) for item in layout.items} | {str(item.mask) for item in layout.items if item.mask}
    parts = {
        place.relative_to(layout.root).parts[:1] for place in {item.path.parent for item in layout.items}
    }
    sides = set().union(*SIDES.values())
    places: dict[str, tuple[Path, bool, bool]] = {}  # what holds for all files of a folder is found once
    others = []
    for file in walk_names(layout.root):
        at, _, name = file.rpartition(os.sep)
        if at not in places:
            first = Path(at or os.sep).relative_to(layout.root).parts
            inside = bool(first) and (first[:1] in parts or plain(first[0]) in sides)
            places[at] = Path(at or os.sep), inside, any(map(is_mask_folder, first))
        place, inside, masks = places[at]
        if masks or not (inside or is_image_name(name) or (place == layout.root and plain(name) in sides)):
            continue
        if file not in taken and str(path := place / name) not in taken:
            others.append(path.relative_to(layout.root))
    return sorted(others)


def _describe(overlooked: list[Path]) -> str:
    endings = ", ".join(sorted({file.suffix or "none" for file in overlooked}))
    return (
        f"{len(overlooked)} files are no images that can be read, or do not lie directly in train/good or test/<kind> "
        f"(endings: {endings}; e.g. {overlooked[0].as_posix()})"
    )


def check_sides(layout: Layout, of: Layout | None = None) -> None:
    """There are normal images to train on; where defective ones are tested, normal ones are too.

    Args:
        layout: with the images that can be used. of: with all of them, where some cannot be used.

    Raises:
        FileNotFoundError: a side is empty, or what was meant for it cannot be read.
    """
    sided = any(item.side for item in layout.items)
    train, test = ("train", "test") if sided else ("", "")
    overlooked = _overlooked(layout)
    lost = [file for file in overlooked if plain(file.parts[0]) in SIDES["test"] and _in_kind(file)]
    every = of or layout
    where = what = ""
    if layout.count(train, True) == 0:
        where, what = "train/good", "normal images to train on"
    elif sided and every.count(test, False) and not layout.count(test, True):
        where, what = "test/good", "normal images to test with"
    elif sided and (lost or every.count(test, False)) and not layout.count(test, False):
        where, what = "test/<kind of defect>", "defective images to test with"
    if where:
        raise FileNotFoundError(
            f"'{layout.root}' holds no {what}.\nPut at least one readable image into '{where}'."
            + (f" {_describe(overlooked)}." if overlooked else "")
        )


def _in_kind(file: Path) -> bool:
    return len(file.parts) > 2 and not is_good(file.parts[1])
