"""What reading JSON raises that somebody else has written."""

import msgspec

UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
"""The latter two: text that is no UTF-8, and nesting deeper than the interpreter's stack."""
