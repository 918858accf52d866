"""The batch in work, noted in a small file, so that a record that ends its worker is found and set aside.

A worker that finds a note takes the records in it one at a time. The note of a batch of one names the culprit: after three
such ends the record goes to quarantine unread. An orderly end, and an end with status 70, leaves no note.
"""

import fcntl
import json
import os
from pathlib import Path

from fluxion.errors import ConfigurationError
from stream_processors.drafts import Raw

TRIES = 3
MAX_WORKERS = 64

Place = tuple[str, int, int]


def place(raw: Raw) -> Place:
    """Return topic, partition and offset."""
    return raw.topic, raw.partition, raw.offset


class WorkNote:
    """One worker's note. The page cache is enough: it outlives the process, and a machine that dies is no culprit.

    Raises ConfigurationError where the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._file, self._tries_path = _first_free(folder)
        except OSError as fault:
            message = f"the folder {folder} cannot be used ({fault})"
            raise ConfigurationError(message, "set FLUXION_WORK_DIR to a folder that can be written") from None
        self._work: list[Place] = []
        self._suspects: dict[Place, int] = self._found()
        self._save_suspects()
        self.clear()

    def _found(self) -> dict[Place, int]:
        suspects = _read_tries(self._tries_path)
        size = os.fstat(self._file).st_size
        lines = os.pread(self._file, size, 0).decode(errors="replace").splitlines()
        left = [found for line in lines if (found := _parsed(line)) is not None]
        for found in left:
            suspects.setdefault(found, 0)
        if len(left) == 1:
            suspects[left[0]] += 1
        return suspects

    def suspected(self, raw: Raw) -> bool:
        """Tell whether a worker ended while this record was in its batch: take it alone."""
        return place(raw) in self._suspects

    def convicted(self, raw: Raw) -> bool:
        """Tell whether this record ended its worker often enough."""
        return self._suspects.get(place(raw), 0) >= TRIES

    def begin(self, raw: Raw) -> None:
        """Note a record before it is worked on."""
        self._work.append(place(raw))
        os.write(self._file, _line(self._work[-1]))

    def done(self, raws: list[Raw]) -> None:
        """Strike out records whose outputs are confirmed."""
        finished = {place(raw) for raw in raws}
        self._work = [found for found in self._work if found not in finished]
        self._rewrite()
        if not finished.isdisjoint(self._suspects):
            self._suspects = {found: tries for found, tries in self._suspects.items() if found not in finished}
            self._save_suspects()

    def clear(self) -> None:
        """Leave no note: the end that follows is no record's fault."""
        self._work = []
        self._rewrite()

    def close(self) -> None:
        """Let go of the note as it stands."""
        os.close(self._file)

    def _rewrite(self) -> None:
        os.ftruncate(self._file, 0)
        if self._work:
            os.write(self._file, b"".join(_line(found) for found in self._work))

    def _save_suspects(self) -> None:
        fresh = self._tries_path.with_suffix(".new")
        fresh.write_text(json.dumps([[*found, tries] for found, tries in self._suspects.items()]), encoding="utf-8")
        fresh.replace(self._tries_path)


def _first_free(folder: Path) -> tuple[int, Path]:
    """Several workers may share a folder; each takes the first note that no living one holds."""
    for number in range(MAX_WORKERS):
        file = os.open(folder / f"work-{number}", os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
        else:
            return file, folder / f"suspects-{number}.json"
    raise OSError(f"{MAX_WORKERS} workers hold notes in it already")


def _line(found: Place) -> bytes:
    return "{} {} {}\n".format(*found).encode()


def _parsed(line: str) -> Place | None:
    """Read a line back; None for one that was cut off."""
    words = line.split(" ")
    try:
        topic, partition, offset = words
        return topic, int(partition), int(offset)
    except ValueError:
        return None


def _read_tries(path: Path) -> dict[Place, int]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
        return {(str(topic), int(partition), int(offset)): int(tries) for topic, partition, offset, tries in rows}
    except (OSError, ValueError, TypeError):
        return {}
