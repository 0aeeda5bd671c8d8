"""Which limit or wall an exception of the student's ran into. Its own words do not say."""

from __future__ import annotations

from grader.assignment import LimitsSpec

OS_ERRORS = ("OSError", "PermissionError", "BlockingIOError", "RuntimeError")


def refusal(kind: str, message: str, limits: LimitsSpec) -> str:
    """One clause about the sandbox for an exception of this kind and message, or ""."""
    if kind not in OS_ERRORS:
        return ""
    reasons = {
        "can't start new thread": f"at most {limits.processes} threads may run",
        "[Errno 1] ": "graded code may start no process and no program, and has no network",
        "[Errno 13] ": "graded code may read Python's own files and write to its temporary folder alone",
        "[Errno 24] ": f"at most {limits.open_files} files may be open",
        "[Errno 27] ": f"a file may have at most {limits.file_mb} MiB",
        "[Errno 28] ": f"there are {limits.tmp_mb} MiB for temporary files",
        "[Errno 30] ": "graded code may write to its temporary folder alone",
    }
    return next((reason for words, reason in reasons.items() if words in message[:200]), "")
