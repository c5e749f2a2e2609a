"""What the machine does to a run, in words a user can act on: a full disk, a file that went away.

fault_of(OSError(28, "No space left on device"))      Fault: the disk is full ... hint: make room, run again
fault_of(ZeroDivisionError())                         None: our own
"""

from __future__ import annotations

import errno

from curate.shards.fault import Fault

GOES_ON = "the same command goes on from here: what was finished stays"
_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file grew larger than the system allows",
}
_FAILS = {
    errno.EIO: "a disk or network drive fails",
    errno.ESTALE: "a network drive went away",
    errno.EROFS: "the disk is mounted for reading only",
    errno.EMFILE: "too many files are open: see ulimit -n",
}


def fault_of(error: BaseException) -> Fault | None:
    """The Fault an error of the machine's stands for; None where it is none, or the user could do nothing about it."""
    if isinstance(error, Fault) or not isinstance(error, OSError):
        return None
    where = str(error.filename or "")
    if error.errno in _FULL:
        return Fault(f"{_FULL[error.errno]}: {_said(error)}", where=where, hint=f"make room; {GOES_ON}")
    if error.errno in _FAILS:
        return Fault(f"{_FAILS[error.errno]}: {_said(error)}", where=where, hint=GOES_ON)
    if isinstance(error, FileNotFoundError):
        hint = "put it back and run the same command again: what was finished stays"
        return Fault(f"a file went away while it was needed: {_said(error)}", where=where, hint=hint)
    if isinstance(error, PermissionError):
        return Fault(f"a file may not be used: {_said(error)}", where=where, hint=f"grant the right; {GOES_ON}")
    return None


def _said(error: OSError) -> str:
    return error.strerror or str(error)
