"""Export files: opened as text, unpacked if they are a .gz, in the encoding that was told or found."""

from __future__ import annotations

import codecs
import gzip
import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, TextIO, cast

from countersign.errors import ConfigError
from countersign.exports.encodings import Encoding, encoding_of

_CHUNK = 1 << 20


class ExportFile:
    """A file of tickets. Raises ConfigError where it can't be read."""

    def __init__(self, path: Path, encoding: str = "") -> None:
        self.path = path
        self._raw: BinaryIO | None = None
        with _mistakes_told(path):
            self.size = max(path.stat().st_size, 1)
            with self._unpacked() as data:
                chunks = iter(lambda: data.read(_CHUNK), b"")
                self.encoding = Encoding(name=_known(encoding)) if encoding else encoding_of(chunks)

    @contextmanager
    def text(self) -> Iterator[TextIO]:
        """The file from its beginning, line ends as they are."""
        with (
            _mistakes_told(self.path),
            self._unpacked() as data,
            io.TextIOWrapper(data, encoding=self.encoding.name, newline="") as lines,
        ):
            yield lines

    def share(self) -> float:
        """How much of the file was read since it was opened last, from 0 to 1."""
        return self._raw.tell() / self.size if self._raw and not self._raw.closed else 1.0

    @contextmanager
    def _unpacked(self) -> Iterator[BinaryIO]:
        with self.path.open("rb") as self._raw:
            if self.path.suffix == ".gz":
                with gzip.open(self._raw, "rb") as data:
                    yield cast("BinaryIO", data)
            else:
                yield self._raw


def _known(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        raise ConfigError(
            f"--encoding: there is none called {encoding!r}; write it as utf-8 or latin-1."
        ) from None


@contextmanager
def _mistakes_told(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as problem:
        raise ConfigError(f"{path} can't be read ({problem.strerror or problem}); name a CSV file.") from None
    except (UnicodeError, EOFError) as problem:
        raise ConfigError(f"{path} can't be read ({problem}); name its encoding with --encoding.") from None
