"""Imported before all that takes long or needs libraries: where one is missing, one line says so,
and Ctrl-C ends the process without a traceback until everything is there.
"""

import os
import signal

from repro.needed import COMMAND_LINE, require
from repro.show.output import INTERRUPTED

USUAL = signal.getsignal(signal.SIGINT)
if USUAL is signal.default_int_handler:  # else it is ignored, as in a shell's background
    signal.signal(signal.SIGINT, lambda *_: os._exit(INTERRUPTED))
require(COMMAND_LINE)
