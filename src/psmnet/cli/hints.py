"""What to do about an error, in terms of command-line options: by the error's code, with its values in braces.

An error without an entry here keeps the library's own remedy.
"""

HINTS: dict[str, str] = {
    "exists": "add --overwrite, or choose another name",
}
