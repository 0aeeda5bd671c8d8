"""Landlock: the files and the network of a worker where namespaces cannot be had (landlock(7)).

An allow-list: what is not named is neither read nor written, by whatever user. Newer kernels add rights; each is taken
where the kernel has it. What Landlock does not see (whether a path exists, modes and owners), the system-call filter
refuses as far as it can.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
from collections.abc import Iterable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # system calls, on every architecture
CREATE_VERSION, RULE_PATH_BENEATH = 1, 1

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR, REMOVE_DIR, REMOVE_FILE = (1 << bit for bit in range(6))
MAKE_DIR, MAKE_REG, REFER, TRUNCATE = 1 << 7, 1 << 8, 1 << 13, 1 << 14
RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}  # how many rights on files each version knows
NETWORK = 0b11  # bind and connect by TCP: version 4
SCOPES = 0b11  # abstract unix sockets, signals: version 6
READ = READ_FILE | READ_DIR
WRITE = READ | WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG | REFER | TRUNCATE
ON_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE

_libc = ctypes.CDLL(None, use_errno=True)


def _call(what: str, number: int, *arguments: object) -> int:
    result: int = _libc.syscall(ctypes.c_long(number), *arguments)
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, f"Landlock: {what}: {os.strerror(code)}")
    return result


def ruleset(readable: Iterable[str], writable: Iterable[str]) -> int:
    """A descriptor of the rules. Paths that do not exist are left out. Raises OSError where there is no Landlock."""
    version = _call("this kernel has none", CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(CREATE_VERSION))
    handled = (1 << RIGHTS[min(version, max(RIGHTS))]) - 1
    words = [handled] + [NETWORK] * (version >= 4) + [SCOPES] * (version >= 6)
    attributes = struct.pack(f"={len(words)}Q", *words)
    rules = _call("make rules", CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    for paths, rights in ((readable, READ), (writable, WRITE)):
        for path in paths:
            _allow(rules, path, rights & handled)
    return rules


def _allow(rules: int, path: str, rights: int) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
        rights &= ON_A_FILE
    rule = struct.pack("=Qi", rights, descriptor)
    _call(f"allow {path}", ADD_RULE, ctypes.c_int(rules), ctypes.c_int(RULE_PATH_BENEATH), rule, ctypes.c_uint32(0))
    os.close(descriptor)


def restrict(rules: int) -> None:
    """Put this process behind the rules, for good. no_new_privs must be set."""
    _call("restrict this process", RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0))
    os.close(rules)
