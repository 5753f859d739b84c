"""What to do about an error, for people in a browser: by the error's code, with its values in braces.

An error without an entry here keeps the library's own remedy.
"""

WORDS: dict[str, str] = {
    "few-scans": "add scans, or segment them one by one",
    "learn-encoder": "ask whoever started the server to start it with the bundled weights",
    "organ-nowhere": "label a scan in which it looks more like in the others, or leave this organ out",
    "process-died": "try again with fewer or smaller scans, or on a larger machine",
    "timeout": "choose fewer organs, crop the scan, or learn from fewer scans",
    "viewer-database": "ask whoever started the server to delete its data and to start it again",
    "workers": "try again",
}
