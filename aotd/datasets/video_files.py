"""Where questions' videos lie below the root: as a benchmark lays them out, or as its archives unpack.

The root is gone through once. A video is known by its name: in any folder, with any ending of a video, in other
letters' case, with accents of another normal form (macOS takes them apart). What fits best is taken: the name as it is
written before others, the benchmark's own folders before others. Two different files that fit equally well are an error
that names both.
"""

from __future__ import annotations

import os
import unicodedata
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath

from aotd.datasets.base import locate
from aotd.errors import UserError

ENDINGS = (".mp4", ".mkv", ".webm", ".avi", ".mov", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ts", ".gif")
"""Endings of videos."""
_NOT_OURS = ("__MACOSX",)
"""Folders that archives hold beside the files; hidden ones are left out, too."""
_COMPARED = 1 << 18
"""How many bytes of two videos are compared at either end."""


class VideoIndex:
    """The videos below a root. Each is looked for once, however many questions it has."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._found: dict[tuple[str, ...], str | None] = {}
        self._links: list[str] = []
        self.notes: list[str] = []
        """What a user may want to know, a line each."""

    def stem(self, where: str, *stems: str, folders: Sequence[str] = ("",)) -> str:
        """The file of a video whose annotation gives its name without the ending.

        Args:
            where: file and entry, for messages.
            stems: the names that it may have, the usual one first. An ending that a file gives all the same is dropped.
            folders: where the benchmark has its videos, relative to the root, the usual one first.

        Returns:
            The file, relative to the root. Where there is none: the usual name, to be reported as missing.

        Raises:
            UserError: a name leads outside the root, or two different files fit.
        """
        usual = _joined(folders[0], f"{_bare(stems[0])}.mp4")
        return self.cut(where, *stems, folders=folders) or self.file(where, usual)

    def cut(self, where: str, *stems: str, folders: Sequence[str] = ("",)) -> str | None:
        """As `stem`, or None where there is no such file."""
        key = (*stems, "", *folders)
        if key not in self._found:
            names = [PurePosixPath(_bare(stem)) for stem in stems]
            fitting = [(path, _strangeness(path, name, folders)) for name in names for path in self._fitting(name)]
            self._found[key] = self._best(where, fitting)
        return self._found[key]

    def file(self, where: str, name: str, folders: Sequence[str] = ("",)) -> str:
        """The file of a video whose annotation gives its name with the ending, and perhaps with a folder.

        A file that lies elsewhere must have the folders of the name right above it, and those of `folders` further up.

        Args, returns, raises: as `stem`.
        """
        places = [_joined(folder, name) for folder in folders]
        key = ("", *places)
        if key not in self._found:
            self._found[key] = next((place for place in places if self._is_file(where, place)), None)
            wanted = PurePosixPath(_bare(name.replace("\\", "/")))  # some write lists of files on Windows
            for folder in folders if self._found[key] is None else ():
                way = PurePosixPath(folder).parts
                fitting = [
                    (path, (*_strangeness(path, wanted, ()), _ending(path).lower() != _ending(name).lower()))
                    for path in self._fitting(wanted)
                    if self._is_below(path, way)
                ]
                self._found[key] = self._found[key] or self._best(where, fitting)
            if self._found[key] is not None and self._found[key] not in places:
                self.notes.append(f"{self._found[key]} is taken for {places[0]}")
        if self._found[key] is None and self._links:
            self.notes[:0] = [f"{link} is a link to a folder and is not followed" for link in self._links]
            self._links.clear()  # told once
        return self._found[key] or places[0]

    def _is_file(self, where: str, name: str) -> bool:
        try:
            return locate(self._root, name).is_file()
        except UserError as error:
            raise UserError(f"{where}: {error}") from None

    def _fitting(self, wanted: PurePosixPath) -> list[str]:
        """The files that have a name, without its ending, and the folders of that name right above them."""
        above = [_plain(part) for part in wanted.parent.parts]
        return [
            path
            for path in self._index.get(_plain(wanted.name), ())
            if not above or self._way(path)[-len(above) :] == above
        ]

    def _is_below(self, path: str, folders: Sequence[str]) -> bool:
        """Whether folders are among those on the way to a file, in this order."""
        way = iter(self._way(path))
        return all(_plain(folder) in way for folder in folders)

    def _way(self, path: str) -> list[str]:
        """The folders on the way to a file of the index, those of the root among them."""
        return [_plain(part) for part in (*self._folder.parts, *path.split("/")[:-1])]

    def _best(self, where: str, fitting: Sequence[tuple[str, tuple[object, ...]]]) -> str | None:
        """The file of least strangeness; those that are as little strange must be copies of it.

        Raises:
            UserError: two differ.
        """
        if not fitting:
            return None
        least = min(strangeness for _, strangeness in fitting)
        first, *others = dict.fromkeys(path for path, strangeness in fitting if strangeness == least)
        for other in others:
            if _are_copies(self._folder / first, self._folder / other):
                self.notes.append(f"{other} is taken for a copy of {first}")
            else:
                raise UserError(
                    f"{where}: {first} and {other} below {self._root} both fit and are different files: delete or "
                    "rename the one that is not meant, or set dataset.root to the folder of the other"
                )
        return first

    @cached_property
    def _folder(self) -> Path:
        return Path(self._root).resolve()

    @cached_property
    def _index(self) -> dict[str, list[str]]:
        """Plain name without the ending -> files of that name, relative to the root, the outermost first."""
        found: dict[str, list[str]] = defaultdict(list)
        for path in _videos(self._folder, self._links):
            found[_plain(_bare(path.rpartition("/")[2]))].append(path)
        for paths in found.values():
            paths.sort(key=lambda path: (path.count("/"), path))
        return dict(found)


def _videos(root: Path, links: list[str]) -> Iterator[str]:
    """The videos below a folder, relative to it. Links to folders are not followed, but added to `links`."""
    folders = [""]
    while folders:
        before = folders.pop()
        try:
            with os.scandir(root / before) as entries:
                for entry in entries:
                    if entry.name.startswith(".") or entry.name in _NOT_OURS:
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{before}{entry.name}/")
                    elif _ending(entry.name) and entry.is_file():
                        yield before + entry.name
                    elif entry.is_symlink() and entry.is_dir():
                        links.append(before + entry.name)
        except OSError:
            continue  # it has gone, or may not be read: its videos are reported as missing


def _are_copies(first: Path, second: Path) -> bool:
    """Whether two videos are as long as each other and begin and end with the same bytes."""
    try:
        with first.open("rb") as one, second.open("rb") as other:
            length = os.fstat(one.fileno()).st_size
            if length != os.fstat(other.fileno()).st_size:
                return False
            for place in (0, max(length - _COMPARED, 0)):
                one.seek(place)
                other.seek(place)
                if one.read(_COMPARED) != other.read(_COMPARED):
                    return False
    except OSError:  # one may not be read
        return False
    return True


def _strangeness(path: str, wanted: PurePosixPath, folders: Sequence[str]) -> tuple[int, bool]:
    """How a file differs from what one looks for: its name (none, in accents, in case), and its folder."""
    folder, _, name = path.rpartition("/")
    bare = _bare(name)
    differs = 0 if bare == wanted.name else 1 if _composed(bare) == _composed(wanted.name) else 2
    return differs, folder not in folders


def _joined(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _ending(name: str) -> str:
    """The ending of a video's name, with its point; empty where it has none."""
    dot = name.rfind(".")
    return name[dot:] if dot >= 0 and name[dot:].lower() in ENDINGS else ""


def _bare(name: str) -> str:
    return name.removesuffix(_ending(name))


def _composed(name: str) -> str:
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _plain(name: str) -> str:
    """A name as it is compared: composed accents, one case."""
    return _composed(_composed(name).casefold())
