"""A folder in a tar that arrives as a stream, from any program: formats ustar, GNU and pax (POSIX.1-2001).

Only files and folders are accepted. Links, devices, sparse files and other kinds are refused by their type. A path and
a size can come from an extension header; its other records (times, owners, attributes) are ignored.
"""

from __future__ import annotations

from typing import NoReturn

from mreg.artifacts.folder_upload import ENTRIES_LIMIT, FolderUpload
from mreg.artifacts.tar import BLOCK, COMPRESSED, KINDS
from mreg.domain.paths import PATH_LIMIT
from mreg.domain.stored import SIZE_LIMIT
from mreg.domain.text import quoted
from mreg.errors import BadInput

RECORDS_BYTES = 64 << 10
"""Maximum size of an extension header."""

HEADERS_LIMIT = 3 * ENTRIES_LIMIT
"""Maximum number of headers: each entry can have two extension headers."""

HINT = "send a tar of the folder's content: tar -C FOLDER -cf - ."

_FILE, _FOLDER, _PAX, _GLOBAL, _LONG_NAME = b"0", b"5", b"x", b"g", b"L"
_KINDS = {**KINDS, b"K": "a link"}
_LINKS = ("linkpath", "GNU.sparse.", "SCHILY.realsize", "SUN.holesdata")
"""Records of links and sparse files."""


class TarFolder:
    """Passes the files of a tar to an upload.

    Memory is bounded by one extension header.
    """

    def __init__(self, upload: FolderUpload) -> None:
        self._upload = upload
        self._block = bytearray()
        self._kind = b""
        self._left = self._padding = 0
        self._headers = self._zeros = 0
        self._long_name: str | None = None
        self._records: dict[str, str] | None = None

    def feed(self, data: bytes | memoryview) -> None:
        """Parse the next bytes, which the caller must not change afterwards.

        Raises:
            BadInput: The tar is invalid, or has an entry that an artifact cannot have.
            Unavailable: A file cannot be written.
        """
        view = memoryview(data)
        while view:
            if self._left:
                view = self._content(view)
            elif self._padding:
                count = min(self._padding, len(view))
                self._padding -= count
                view = view[count:]
            elif self._zeros == 2:
                if bytes(view).strip(b"\0"):
                    raise BadInput("the tar has extra bytes after its end", hint=HINT)
                return
            else:
                count = BLOCK - len(self._block)
                self._block += view[:count]
                view = view[count:]
                if len(self._block) == BLOCK:
                    block = bytes(self._block)
                    self._block.clear()
                    self._header(block)

    def finish(self) -> None:
        """Check that the tar is complete.

        Raises:
            BadInput: It is not.
        """
        if not self._headers:
            _refuse_compressed(bytes(self._block))
        if self._zeros < 2 or self._long_name is not None or self._records is not None:
            raise BadInput("the tar is incomplete: its end is missing", hint=f"upload again; {HINT}")

    def _content(self, view: memoryview) -> memoryview:
        piece = view[: self._left]
        self._left -= len(piece)
        if self._kind == _FILE:
            self._upload.write(piece)
        else:
            self._block += piece
        if not self._left:
            self._end_content()
        return view[len(piece) :]

    def _end_content(self) -> None:
        if self._kind == _FILE:
            self._upload.end()
            return
        content = bytes(self._block)
        self._block.clear()
        if self._kind == _LONG_NAME:
            self._long_name = _text(content.rstrip(b"\0"))
        elif self._kind == _PAX:
            self._records = _records(content)
        else:
            named = {"path", "size"} & _records(content).keys()
            if named:
                raise BadInput(f"the tar sets the {named.pop()} of all its entries at once", hint=HINT)

    def _header(self, block: bytes) -> None:
        if not any(block):
            self._zeros += 1
            return
        if self._zeros:
            raise BadInput("the tar has extra bytes after its end", hint=HINT)
        _check(block, first=not self._headers)
        self._headers += 1
        if self._headers > HEADERS_LIMIT:
            raise BadInput(
                f"the tar has too many headers: the limit is {HEADERS_LIMIT}", hint="upload an archive of it"
            )
        kind = block[156:157].replace(b"\0", _FILE)
        size = _number(block[124:136], "a size")
        if kind in (_PAX, _GLOBAL, _LONG_NAME):
            self._begin_extension(kind, size)
        else:
            self._begin_entry(block, kind, size)
        self._kind = kind
        if not self._left and kind != _FOLDER:
            self._end_content()

    def _begin_extension(self, kind: bytes, size: int) -> None:
        if size > (PATH_LIMIT + 1 if kind == _LONG_NAME else RECORDS_BYTES):
            raise BadInput(f"an extension header of the tar is too large: {size:,} bytes", hint=HINT)
        if (kind == _PAX and self._records is not None) or (kind == _LONG_NAME and self._long_name is not None):
            raise BadInput("the tar has two extension headers of one kind for an entry", hint=HINT)
        self._left, self._padding = size, -size % BLOCK

    def _begin_entry(self, block: bytes, kind: bytes, size: int) -> None:
        records = self._records or {}
        name = records.get("path", self._long_name)
        self._records = self._long_name = None
        if name is None:
            name = _name(block)
        for record in records:
            if record.startswith(_LINKS):
                raise BadInput(f"{quoted(name)} in the tar is a link or a sparse file", hint=_copy_hint())
        if kind not in (_FILE, _FOLDER):
            what = _KINDS.get(kind, "neither a file nor a folder")
            raise BadInput(f"{quoted(name)} in the tar is {what}", hint=_copy_hint())
        if "size" in records:
            size = _decimal(records["size"])
        path = _relative(name)
        if kind == _FILE:
            self._upload.begin(path, executable=bool(_number(block[100:108], "a mode") & 0o100))
            self._left, self._padding = size, -size % BLOCK
            return
        if size:
            raise BadInput(f"the folder {quoted(name)} in the tar has a size of {size:,} bytes", hint=HINT)
        path = path.removesuffix("/")
        if path not in ("", "."):
            self._upload.add_folder(path)


def _check(block: bytes, *, first: bool) -> None:
    """Check that a block is a header.

    Raises:
        BadInput: It is not.
    """
    if first:
        _refuse_compressed(block)
    if block[257:262] != b"ustar":
        raise BadInput("the body is not a tar" if first else "a header of the tar is damaged", hint=HINT)
    # The checksum covers the header with blanks in the checksum field.
    expected = sum(block) - sum(block[148:156]) + 8 * 32
    if _number(block[148:156], "a checksum") != expected:
        raise BadInput("a header of the tar is damaged: its checksum is wrong", hint="upload again")


def _refuse_compressed(block: bytes) -> None:
    if block.startswith(COMPRESSED):
        raise BadInput("the tar is compressed", hint=f"do not compress it; {HINT}")


def _number(field: bytes, what: str) -> int:
    """Return a number in octal digits, or in GNU's base 256 for large sizes.

    Raises:
        BadInput: The field has another form, or the number is negative or too large.
    """
    if field[:1] == b"\x80":
        number = int.from_bytes(field[1:], "big")
        if number <= SIZE_LIMIT:
            return number
        _invalid(what)
    digits = field.strip(b" \0")
    if digits.translate(None, b"01234567"):
        _invalid(what)
    return int(digits or b"0", 8)


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20) or int(text) > SIZE_LIMIT:
        _invalid("a size")
    return int(text)


def _invalid(what: str) -> NoReturn:
    raise BadInput(f"a header of the tar is invalid: {what} is not a number in the allowed range", hint=HINT)


def _name(block: bytes) -> str:
    name = _text(block[:100].partition(b"\0")[0])
    prefix = _text(block[345:500].partition(b"\0")[0]) if block[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        shown = quoted(data.decode("utf-8", "replace"))
        raise BadInput(f"the file name {shown} in the tar is not valid UTF-8", hint="rename the file") from None


def _relative(name: str) -> str:
    """Return the name without ``./`` at its start, which ``tar -C FOLDER -cf - .`` writes."""
    while name.startswith("./"):
        name = name[2:]
    return name


def _records(content: bytes) -> dict[str, str]:
    """Return the records of an extension header: ``LENGTH KEY=VALUE`` and a line feed each.

    Raises:
        BadInput: A record has another form.
    """
    found: dict[str, str] = {}
    place = 0
    while place < len(content):
        blank = content.find(b" ", place, place + 8)
        digits = content[place:blank] if blank > 0 else b""
        end = place + int(digits) if digits.isdigit() else 0
        key, equals, value = content[blank + 1 : end - 1].partition(b"=")
        if end <= blank + 1 or end > len(content) or content[end - 1 : end] != b"\n" or not key or not equals:
            raise BadInput("an extension header of the tar is damaged", hint="upload again")
        name = key.decode("utf-8", "replace")
        if name in found:
            raise BadInput(f"an extension header of the tar has two records {quoted(name)}", hint=HINT)
        found[name] = _text(value) if name == "path" else value.decode("utf-8", "replace")
        place = end
    return found


def _copy_hint() -> str:
    return "send a copy without links and special files, made with cp -rL: tar -C COPY -cf - ."
