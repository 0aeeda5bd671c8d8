"""What the server imports that forks the grading processes of `grader.pool`: all that each of them needs, once.

It ends when the last who uses it has ended, and holds the terminal or the pipe open until then. The interpreter's own
way out takes half a second, with torch; there is nothing to put away.
"""

import atexit
import gc
import os

gc.disable()  # what is imported becomes no garbage; to look for it took a tenth of the start

import grader.unit  # noqa: E402, F401

gc.freeze()
gc.enable()
atexit.register(os._exit, 0)  # not in the grading processes, which leave without this way out
