"""What to do about an error, for people in a browser: by the error's code, with its values in braces.

An error without an entry here keeps the library's own remedy.
"""

WORDS: dict[str, str] = {
    "timeout": "choose fewer organs, or crop the scan",
    "viewer-database": "ask whoever started the server to delete its data and to start it again",
    "workers": "try again",
}
