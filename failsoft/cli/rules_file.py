"""A keywords.yaml that a person may let us change: text, rules, a diff, one atomic write."""

import difflib
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from failsoft.errors import InvalidDataError, UsageError
from failsoft.nodes.keywords import Keywords


@dataclass(frozen=True, kw_only=True, slots=True)
class RuleFile:
    """A file as it was read; one that is not there, or says nothing, has no rules."""

    path: Path
    text: str
    keywords: Keywords

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read the file, behind a link if it is one.

        Raises:
            InvalidDataError: it cannot be read, or holds no rules.
        """
        path = path.resolve()
        if not path.exists():
            return cls(path=path, text="", keywords=Keywords([]))
        text = _text(path)
        keywords = Keywords([]) if _says_nothing(text) else Keywords.read(path)
        return cls(path=path, text=text, keywords=keywords)

    def diff(self, text: str) -> str:
        """Return what another text would change; "" when it changes nothing."""
        name = self.path.name
        lines = difflib.unified_diff(
            self.text.splitlines(), text.splitlines(), f"a/{name}", f"b/{name}", lineterm=""
        )
        return "".join(f"{line}\n" for line in lines)

    def replace(self, text: str) -> None:
        """Write another text: all of it or, whatever happens, the old one stays.

        Raises:
            UsageError: somebody else has changed the file since, or it cannot be written.
            InvalidDataError: the text would be no file of rules; nothing was changed.
        """
        if (_text(self.path) if self.path.exists() else "") != self.text:
            raise UsageError(f"{self.path} has changed in between: nothing was written. Try again.")
        try:
            self._replace(text)
        except OSError as error:
            raise UsageError(f"{self.path} cannot be written: {error.strerror}.") from None

    def _replace(self, text: str) -> None:
        number, name = tempfile.mkstemp(prefix=".keywords-", suffix=".yaml", dir=self.path.parent)
        try:
            with open(number, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123
                file.write(text)
                file.flush()
                os.fsync(number)
            Keywords.read(Path(name))
            mode = self.path.stat().st_mode & 0o777 if self.path.exists() else 0o644
            Path(name).chmod(mode)
            Path(name).replace(self.path)
        except BaseException:
            with suppress(OSError):
                Path(name).unlink()
            raise


def _says_nothing(text: str) -> bool:
    """Tell whether there are only blank lines and comments."""
    return all(line.lstrip()[:1] in {"", "#"} for line in text.splitlines())


def _text(path: Path) -> str:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidDataError(f"{path} cannot be read: {error}") from None
