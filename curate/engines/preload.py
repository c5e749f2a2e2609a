"""What the fork server imports and warms once, so that every worker of every pass begins with it.

Importing this module does the work: that is the one thing a fork server can be told. A worker is then a fork that costs
milliseconds, where importing the passes takes a second and loading kernels and tables of characters two more.
"""

import signal
from contextlib import suppress
from importlib import import_module

from curate.plugins import siblings

signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer; it ends the workers itself

for _name in siblings("curate.passes"):
    with suppress(Exception):  # what is broken is told by the first task that needs it, with its traceback
        import_module(f"curate.passes.{_name}")

with suppress(Exception):
    import_module("curate.kernels").warm_up()
