"""The one error a user meets: what is wrong with which value, where, and a hint that can be pasted.

The command line prints it without a traceback and exits with 2. Anything else that escapes is our own bug (exit 1).
"""

from __future__ import annotations


class Fault(Exception):
    """The recipe or the input is at fault, and the user can mend it.

    >>> print(Fault("held-out set is empty: 0 of 412 documents", where="curate.split.test", hint="widen split.test"))
    held-out set is empty: 0 of 412 documents
      at: curate.split.test
    <BLANKLINE>
    hint: widen split.test
    """

    def __init__(self, what: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(what)
        self.what, self.where, self.hint = what, where, hint

    def __str__(self) -> str:
        at = f"\n  at: {self.where}" if self.where else ""
        return f"{self.what}{at}" + (f"\n\nhint: {self.hint}" if self.hint else "")

    def __reduce__(self) -> tuple[object, ...]:  # keyword-only arguments do not survive the default pickling
        return (_revive, (type(self), self.what, self.where, self.hint))


def _revive(kind: type[Fault], what: str, where: str, hint: str) -> Fault:
    return kind(what, where=where, hint=hint)
