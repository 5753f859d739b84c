"""Files of ours that are read back, each described by a model, so that one that is damaged is found when it is read."""

import json
from pathlib import Path
from typing import Any, ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from psmnet.errors import InputError
from psmnet.system.files import read_json, write_text


class StoredPart(BaseModel):
    """A part of a stored file; fields that a newer version added are ignored."""

    model_config = ConfigDict(extra="ignore")


class StoredFile(StoredPart):
    """A JSON file that psmnet writes and reads back. NaN and infinity survive (as Python's JSON writes them).

    Attributes:
        SCHEMA: name and version of the file's form, under "schema" in the file; empty for a file that has none.
        REMEDY: what to do if the file is damaged.
    """

    SCHEMA: ClassVar[str] = ""
    REMEDY: ClassVar[str] = "make the file again"

    def write(self, path: Path) -> None:
        """Write it atomically."""
        content = ({"schema": self.SCHEMA} if self.SCHEMA else {}) | self.model_dump(mode="json")
        write_text(path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read it.

        Raises:
            InputError: it is missing, not JSON, of another schema, or damaged: a field is missing or of another type.
        """
        content = read_json(path)
        if cls.SCHEMA and not cls.has_schema(content):
            schema = content.get("schema") if isinstance(content, dict) else None
            raise InputError(f"{path} has schema {schema!r}, not {cls.SCHEMA}", cls.REMEDY)
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors()[0]
            where = "".join(f"{part}." for part in first["loc"])[:-1]
            what = f"{where}: {first['msg']}" if where else first["msg"]
            raise InputError(f"{path} is damaged ({what})", cls.REMEDY) from error

    @classmethod
    def find(cls, path: Path) -> Self | None:
        """Read it; None where there is none, or none that can be read."""
        try:
            return cls.read(path)
        except InputError:
            return None

    @classmethod
    def has_schema(cls, content: Any) -> bool:
        """Whether a file's content is of this schema."""
        return isinstance(content, dict) and content.get("schema") == cls.SCHEMA
