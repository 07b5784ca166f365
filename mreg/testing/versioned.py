"""Contract tests of objects that hold a catalog."""

from __future__ import annotations

import abc
import threading

from mreg.catalog.packing import pack
from mreg.catalog.versioned import VersionedObject

FIRST, SECOND, THIRD = (pack(b"SQLite format 3\0" + bytes([number]) * 5_000) for number in (1, 2, 3))

WRITERS = 8


class VersionedObjectContract(abc.ABC):
    """Contract of `VersionedObject`."""

    @abc.abstractmethod
    def open(self) -> VersionedObject:
        """Return a new client of the same object, which does not exist at first."""

    @abc.abstractmethod
    def names(self) -> list[str]:
        """Return the endings of everything that is stored, empty for the object itself, in alphabetical order."""

    def _ready(self) -> VersionedObject:
        one = self.open()
        one.require_support()
        return one

    def test_an_object_that_does_not_exist_is_not_found(self) -> None:
        one = self._ready()
        assert one.fetch() is None
        assert one.fetch("unknown") is None
        assert self.names() == []

    def test_a_swap_creates_the_object_once(self) -> None:
        one, other = self._ready(), self._ready()
        tag = one.swap(FIRST, "")
        assert tag
        assert other.swap(SECOND, "") == ""
        assert other.fetch() == (FIRST, tag)
        assert self.names() == [""]

    def test_a_known_tag_saves_the_download(self) -> None:
        one = self._ready()
        tag = one.swap(FIRST, "")
        assert self._ready().fetch(tag) == (b"", tag)
        new = one.swap(SECOND, tag)
        assert self._ready().fetch(tag) == (SECOND, new)

    def test_a_swap_needs_the_tag_of_the_present_content(self) -> None:
        one = self._ready()
        first = one.swap(FIRST, "")
        second = one.swap(SECOND, first)
        assert second not in ("", first)
        assert self._ready().swap(THIRD, first) == ""
        assert one.fetch() == (SECOND, second)

    def test_one_of_several_concurrent_swaps_succeeds(self) -> None:
        first = self._ready().swap(FIRST, "")
        start, tags = threading.Barrier(WRITERS), list[str]()

        def swap(number: int) -> None:
            one, data = self._ready(), pack(b"SQLite format 3\0" + bytes([number]) * 9_000)
            start.wait()
            tags.append(one.swap(data, first))

        writers = [threading.Thread(target=swap, args=(number,)) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        (tag,) = filter(None, tags)
        found = self._ready().fetch()
        assert found is not None
        assert found[1] == tag

    def test_a_moved_object_leaves_its_name_free(self) -> None:
        one = self._ready()
        assert not one.move(".aside")
        tag = one.swap(FIRST, "")
        assert one.move(".aside")
        assert one.fetch() is None
        assert one.fetch(tag) is None
        assert self.names() == [".aside"]
        assert one.swap(SECOND, "")
        assert not one.store_copy(".aside", SECOND)

    def test_a_copy_is_stored_once_and_can_be_removed(self) -> None:
        one = self._ready()
        assert one.store_copy(".copy", FIRST)
        assert one.store_copy(".copy", FIRST)
        assert not one.store_copy(".copy", SECOND)
        assert self.names() == [".copy"]
        for _ in range(2):
            one.remove_copy(".copy")
        assert self.names() == []

    def test_a_test_of_the_store_leaves_nothing(self) -> None:
        self.open().require_support(again=True)
        assert self.names() == []

    def test_locations_differ(self) -> None:
        one = self._ready()
        assert one.location() != one.location(".copy")
        assert one.location() == self._ready().location()
        assert one.identity == self._ready().identity
