"""The parser of multipart forms, which passes the artifact on as it arrives."""

from __future__ import annotations

from collections.abc import Callable

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from mreg.domain.text import quoted
from mreg.errors import BadInput
from mreg.registry.incoming import IncomingArtifact

FILE_PART = "model_file"
FOLDER_PART = "folder_file"
TAR_PART = "folder_tar"
PARTS = (FILE_PART, FOLDER_PART, TAR_PART)
"""Names of the parts with the artifact."""

FORM_HINT = (
    f"send multipart/form-data with the file in the part {FILE_PART}, or with each file of a folder in a part "
    f"{FOLDER_PART} whose filename is its path"
)

FIELDS_BYTES = 1 << 20
"""Maximum size of all fields of a form, without the file."""

PART_HEADERS_BYTES = 8 << 10
"""Maximum size of the headers of one part of a form."""


class Form:
    """A parser for a multipart body: passes the artifact on and keeps the fields.

    Args:
        artifact: Receives the parts of the artifact.
        check_field: Raises `BadInput` if a form has no field of this name.

    Attributes:
        fields: Values of the fields by name.
    """

    def __init__(self, boundary: bytes, artifact: IncomingArtifact, check_field: Callable[[str], None]) -> None:
        self._check_field = check_field
        self.fields: dict[str, str] = {}
        self._artifact = artifact
        self._artifact_part = ""
        self._header = self._value = b""
        self._name = ""
        self._disposition = b""
        self._data = bytearray()
        self._size = self._headers_size = 0
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._begin,
                    "on_header_field": self._header_field,
                    "on_header_value": self._header_value,
                    "on_header_end": self._header_end,
                    "on_headers_finished": self._headers_finished,
                    "on_part_data": self._part_data,
                    "on_part_end": self._part_end,
                    "on_end": self._end,
                },
            )
        except FormParserError as error:
            raise BadInput(f"invalid form: {error}", hint=FORM_HINT) from None

    def feed(self, data: bytes) -> None:
        """Parse the next bytes of the body.

        Raises:
            BadInput: The body is not a valid form of an upload.
            Unavailable: The file cannot be written.
        """
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadInput(f"invalid form: {error}", hint=FORM_HINT) from None

    def finish(self) -> dict[str, str]:
        """Return the fields of the complete body.

        Raises:
            BadInput: The body is incomplete.
        """
        if not self._ended:
            raise BadInput("the form is incomplete", hint="upload again")
        return self.fields

    def _begin(self) -> None:
        self._disposition = self._header = self._value = b""
        self._headers_size = 0
        self._data.clear()

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._count_headers(end - start)
        self._header += data[start:end]

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_headers(end - start)
        self._value += data[start:end]

    def _count_headers(self, more: int) -> None:
        self._headers_size += more
        if self._headers_size > PART_HEADERS_BYTES:
            raise BadInput(f"the headers of a part are too large: the maximum is {PART_HEADERS_BYTES} bytes")

    def _header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            self._disposition = self._value
        self._header = self._value = b""

    def _headers_finished(self) -> None:
        _, options = parse_options_header(self._disposition)
        self._name = options.get(b"name", b"").decode("utf-8", "replace")
        if self._name in PARTS:
            self._begin_artifact(options.get(b"filename", b""))
        elif self._name in self.fields:
            raise BadInput(f"repeated field {quoted(self._name)}", hint="send it once")
        else:
            self._check_field(self._name)

    def _begin_artifact(self, file_name: bytes) -> None:
        before, self._artifact_part = self._artifact_part, self._name
        if before and before != self._name:
            raise BadInput(f"the form has the parts {before} and {self._name}", hint=FORM_HINT)
        if before and before != FOLDER_PART:
            raise BadInput(f"repeated part {before}", hint=FORM_HINT)
        if self._name == FILE_PART:
            self._artifact.begin_file(file_name.decode("utf-8", "replace") or "model")
        elif self._name == FOLDER_PART:
            self._artifact.begin_folder_file(file_name)
        else:
            self._artifact.begin_tar()

    def _part_data(self, data: bytes, start: int, end: int) -> None:
        if self._name in PARTS:
            self._artifact.write(memoryview(data)[start:end])  # a slice of bytes would be a copy
            return
        self._size += end - start
        if self._size > FIELDS_BYTES:
            raise BadInput(f"the fields of the form are too large: the maximum is {FIELDS_BYTES} bytes")
        self._data += data[start:end]

    def _part_end(self) -> None:
        if self._name in PARTS:
            self._artifact.end()
            return
        try:
            self.fields[self._name] = self._data.decode()
        except UnicodeDecodeError:
            raise BadInput(f"the field {quoted(self._name)} is not valid UTF-8") from None

    def _end(self) -> None:
        self._ended = True
