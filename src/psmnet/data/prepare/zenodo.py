"""Names, sizes, checksums and addresses of a free data set's files, from its Zenodo record."""

import json
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from psmnet.catalog import dataset
from psmnet.errors import ConfigError, InputError
from psmnet.system import Lost, Refused, blocks, checked

ZENODO_API = "https://zenodo.org/api/records"
RECORD_LIMIT = 1 << 24  # a record is a few kilobytes; more is something else
LINKS = ("content", "download", "self")  # by Zenodo's age; where `content` is, `self` is a description
DIGITS = {"md5": 32, "sha256": 64, "sha512": 128}
GONE = (403, 404, 410)  # this record is not available, but another may be


@dataclass(frozen=True)
class RemoteFile:
    """A file that a record lists: plain name, bytes, checksum as `md5:<hex>`, and where it is."""

    name: str
    size: int
    checksum: str
    url: str


def refusal(refused: Refused, kept: str = "") -> InputError:
    """The error for a refused record or file; `kept` ends its line."""
    later = refused.status == 429 or refused.status >= 500
    if later:
        return InputError(f"{refused}{kept}", "wait some minutes and run the command again")
    return InputError(f"{refused}{kept}", "give another mirror", code="mirror")


def find_files(name: str, mirror: str | None = None) -> list[RemoteFile]:
    """The files of a free data set, from the first Zenodo record that lists them.

    Args:
        name: of the data set.
        mirror: address of a folder with the files; sizes and checksums are still those of the record.

    Returns:
        The files, with their addresses.

    Raises:
        ConfigError: no such data set, no free download, or a mirror that is not an https address.
        InputError: no network, a refusal, no record with these files, or one that can't be used.
    """
    facts = dataset(name)
    if not facts.zenodo_records:
        remedies = {
            "phantom": "draw it with psmnet phantom DIR",
            "folder": "your own scans are prepared with psmnet prepare folder DIR OUT",
        }
        raise ConfigError(f"data set {name!r} is no free download", remedies.get(name, facts.access))
    base = _mirror(mirror) if mirror else None
    seen = []
    for record in facts.zenodo_records:
        url = f"{ZENODO_API}/{record}"
        try:
            entries = _entries(_record(url), url)
        except Refused as refused:
            if refused.status not in GONE:
                raise refusal(refused) from refused
            seen.append(str(refused))
            continue
        names = [entry.get("key") for entry in entries]
        if names and set(facts.files) <= set(names):
            wanted = [entry for entry in entries if not facts.files or entry["key"] in facts.files]
            found = [_remote_file(entry, url, base) for entry in wanted]
            if len({file.name.casefold() for file in found}) < len(found):  # one file to some file systems
                raise InputError(f"{url} lists a name twice ({', '.join(map(repr, names))})", "fetch the files by hand")
            return found
        seen.append(f"{url} has {', '.join(map(repr, names)) or 'no files'}")
    what = ", ".join(facts.files) or "any file"
    raise InputError(f"no record of {name} lists {what}: {'; '.join(seen)}", f"look for it by hand: {facts.source}")


def _record(url: str) -> Any:
    text = b""
    try:
        for block in blocks(url):
            text += block
            if len(text) > RECORD_LIMIT:
                break
    except Lost as lost:
        raise InputError(str(lost), "check the network, then run the command again") from lost
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{url} answers no JSON ({error})", "check that no login page stands before it") from error


def _entries(record: Any, url: str) -> list[dict[str, Any]]:
    """Files of a record: a list, or by name in `entries` in the answers of InvenioRDM's own format."""
    files = record.get("files", []) if isinstance(record, dict) else None  # a closed record has none
    if isinstance(files, dict):
        files = files.get("entries", [])
    if isinstance(files, dict):
        files = [{"key": key, **entry} if isinstance(entry, dict) else None for key, entry in files.items()]
    if not isinstance(files, list) or not all(isinstance(entry, dict) and "key" in entry for entry in files):
        raise InputError(f"{url} answers no list of files", "look for a newer psmnet, or fetch the files by hand")
    return [{**entry, "key": str(entry["key"])} for entry in files]


def _remote_file(entry: dict[str, Any], url: str, mirror: str | None) -> RemoteFile:
    name, size, checksum, links = entry["key"], entry.get("size"), entry.get("checksum"), entry.get("links")
    if not _is_plain(name):
        raise InputError(f"{url} lists a file {name!r}, which is no plain file name", "fetch the files by hand")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise InputError(f"{url} gives no size of {name} ({size!r})", "fetch the file by hand")
    algorithm, _, digest = str(checksum).lower().partition(":")
    if len(digest) != DIGITS.get(algorithm) or not re.fullmatch("[0-9a-f]+", digest):
        what = f"{url} gives no checksum of {name} that can be used ({checksum!r}; known: {', '.join(DIGITS)})"
        raise InputError(what, "fetch the file by hand")
    links = links if isinstance(links, dict) else {}
    address = next((links[key] for key in LINKS if isinstance(links.get(key), str)), None)
    if address is None and mirror is None:
        raise InputError(f"{url} gives no address of {name}", "give a mirror", code="mirror")
    source = f"{mirror}/{quote(name)}" if mirror else checked(str(address), came_from=url)
    return RemoteFile(name, size, f"{algorithm}:{digest}", source)


def _is_plain(name: str) -> bool:
    """Whether a name from outside is that of a visible file in the folder itself, on every system."""
    return (
        name.isprintable()  # no control characters, none that turn the line around
        and not re.search(r'[/\\:*?"<>|]|\.\.', name)
        and re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?|.*\.part(\.json)?|[. ].*|.*[. ]|", name) is None
        and len(name.encode()) <= 200
    )


def _mirror(url: str) -> str:
    try:
        return checked(url).rstrip("/")
    except InputError as error:
        raise ConfigError(f"mirror {error.what}", "give a folder's address that begins with https://") from error
