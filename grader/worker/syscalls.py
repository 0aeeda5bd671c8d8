"""The system-call filter of a worker: what student code may not ask of the kernel.

The program for the kernel is assembled here by hand. libseccomp would do it as well, but it is one more package of the
distribution, and what is needed of it is a table and four kinds of instruction.

Three answers. EPERM for what is refused, which Python reports as a PermissionError with the student's line. ENOSYS for
`clone3`, so that libc falls back to `clone`, whose flags a filter can see; and for every number above NEWEST, so that
a libc of tomorrow falls back too, and x32, whose numbers lie far above, does not exist. A program of another
architecture (i386 on x86_64) is refused everything. All else is allowed: torch, OpenMP and Python keep working.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct

# name x86_64 aarch64; "-" where an architecture has no such call
REFUSED = {
    "new processes and programs": """
        fork 57 -, vfork 58 -, execve 59 221, execveat 322 281""",
    "the network, and descriptors sent through a socket": """
        socket 41 198, socketpair 53 199, connect 42 203, bind 49 200, listen 50 201, accept 43 202, accept4 288 242,
        sendmsg 46 211, sendmmsg 307 269, recvmsg 47 212, recvmmsg 299 243""",
    "other processes": """
        ptrace 101 117, process_vm_readv 310 270, process_vm_writev 311 271, process_madvise 440 440,
        process_mrelease 448 448, kcmp 312 272, pidfd_open 434 434, pidfd_getfd 438 438, pidfd_send_signal 424 424,
        tkill 200 130, rt_sigqueueinfo 129 138, rt_tgsigqueueinfo 297 240, move_pages 279 239, migrate_pages 256 238""",
    "namespaces and mounts": """
        unshare 272 97, setns 308 268, mount 165 40, umount2 166 39, pivot_root 155 41, chroot 161 51,
        move_mount 429 429, open_tree 428 428, fsopen 430 430, fsconfig 431 431, fsmount 432 432, fspick 433 433,
        mount_setattr 442 442""",
    "parts of the kernel that a model has no use for": """
        bpf 321 280, perf_event_open 298 241, userfaultfd 323 282, io_uring_setup 425 425, io_uring_enter 426 426,
        io_uring_register 427 427, io_setup 206 0, seccomp 317 277, personality 135 92, modify_ldt 154 -, iopl 172 -,
        ioperm 173 -, init_module 175 105, finit_module 313 273, delete_module 176 106, kexec_load 246 104,
        kexec_file_load 320 294, reboot 169 142, swapon 167 224, swapoff 168 225, syslog 103 116, acct 163 89,
        quotactl 179 60, quotactl_fd 443 443, fanotify_init 300 262, name_to_handle_at 303 264,
        open_by_handle_at 304 265, lookup_dcookie 212 18, vhangup 153 58, settimeofday 164 170, clock_settime 227 112,
        adjtimex 159 171, clock_adjtime 305 266, sethostname 170 161, setdomainname 171 162, uselib 134 -,
        add_key 248 217, request_key 249 218, keyctl 250 219""",
    "memory that outlives a process, or that no limit counts": """
        shmget 29 194, shmat 30 196, shmctl 31 195, msgget 68 186, msgsnd 69 189, msgrcv 70 188, msgctl 71 187,
        semget 64 190, semop 65 193, semctl 66 191, semtimedop 220 192, mq_open 240 180, mq_unlink 241 181,
        memfd_create 319 279, memfd_secret 447 447, vmsplice 278 75, splice 275 76, tee 276 77""",
    "its own limits and priority": """
        setrlimit 160 164, setpriority 141 140, ioprio_set 251 30, sched_setscheduler 144 119, sched_setparam 142 118,
        sched_setattr 314 274""",
}
# Landlock does not see these, and where there are no namespaces the worker may own the user's files.
REFUSED_WITHOUT_NAMESPACES = """
    chmod 90 -, fchmod 91 52, fchmodat 268 53, fchmodat2 452 452, chown 92 -, fchown 93 55, lchown 94 -,
    fchownat 260 54, utime 132 -, utimes 235 -, futimesat 261 -, utimensat 280 88, setxattr 188 5, lsetxattr 189 6,
    fsetxattr 190 7, removexattr 197 14, lremovexattr 198 15, fremovexattr 199 16, truncate 76 45, fallocate 285 47,
    inotify_init 253 -, inotify_init1 294 26"""
DEPENDS = """
    clone 56 220, clone3 435 435, kill 62 129, tgkill 234 131, ioctl 16 29, prctl 157 167, prlimit64 302 261,
    sched_setaffinity 203 122, fcntl 72 25"""
NEWEST = 462  # Linux 6.10's mseal; both architectures number alike since 424

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the tables, AUDIT_ARCH_…
PR_SET_PDEATHSIG, PR_SET_SECCOMP = 1, 22
SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC = 1, 1
ALLOW, ERRNO = 0x7FFF0000, 0x00050000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data; both machines are little-endian
LOAD, AND, IF_EQUAL, IF_ABOVE, RETURN = 0x20, 0x54, 0x15, 0x25, 0x06  # BPF's operations, on 32-bit words
WORD = 0xFFFFFFFF

CLONE_THREAD = 0x00010000
CLONE_NAMESPACES = 0x7E020000  # CLONE_NEWNS, _NEWCGROUP, _NEWUTS, _NEWIPC, _NEWUSER, _NEWPID, _NEWNET
SIGKILL, SIGSTOP = 9, 19
TIOCSTI, TIOCLINUX = 0x5412, 0x541C  # they type into a terminal
F_SETOWN, F_SETSIG, F_SETOWN_EX = 8, 10, 15  # they have the kernel send any signal to any process of the same user
FIOSETOWN, SIOCSPGRP = 0x8901, 0x8902  # and so do these

Instruction = tuple[int, int, int, int]  # operation, jump if true, jump if false, operand
Test = tuple[int, int, int, bool]  # argument × 2 (+ 1 for its upper half), mask, value, whether it must be equal


def table(text: str, column: int) -> dict[str, int]:
    """Names and numbers of one architecture."""
    rows = [row.split() for row in text.split(",")]
    return {row[0]: int(row[1 + column]) for row in rows if row[1 + column] != "-"}


def program(machine: str, pid: int, namespaces: bool = True) -> list[Instruction]:
    """The filter for a process with this number. Raises OSError where the machine's numbers are not known here."""
    if machine not in MACHINES:
        raise OSError(
            errno.ENOSYS, f"there is no system-call filter for {machine}; grade on {' or '.join(sorted(MACHINES))}"
        )
    column, architecture = MACHINES[machine]
    code = [(LOAD, 0, 0, ARCHITECTURE), (IF_EQUAL, 1, 0, architecture), refuse(errno.EPERM)]
    code += [(LOAD, 0, 0, NUMBER), (IF_ABOVE, 0, 1, NEWEST), refuse(errno.ENOSYS)]
    texts = [*REFUSED.values()] + ([] if namespaces else [REFUSED_WITHOUT_NAMESPACES])
    for text in texts:
        for number in table(text, column).values():
            code += [(IF_EQUAL, 0, 1, number), refuse(errno.EPERM)]
    numbers = table(DEPENDS, column)
    code += [(IF_EQUAL, 0, 1, numbers["clone3"]), refuse(errno.ENOSYS)]
    for name, tests in _conditions(pid).items():
        body = allow_if(tests)
        code += [(IF_EQUAL, 0, len(body), numbers[name]), *body]
    return [*code, (RETURN, 0, 0, ALLOW)]


def _conditions(pid: int) -> dict[str, list[Test]]:
    """When a call is allowed all the same: all tests hold."""
    return {
        "clone": [(0, CLONE_THREAD | CLONE_NAMESPACES, CLONE_THREAD, True)],
        # A signal to itself (abort() is one), but none that would make its end look like the machine's doing.
        "kill": [(0, WORD, pid, True), (2, WORD, SIGKILL, False), (2, WORD, SIGSTOP, False)],
        "tgkill": [(0, WORD, pid, True), (4, WORD, SIGKILL, False), (4, WORD, SIGSTOP, False)],
        "ioctl": [(2, WORD, request, False) for request in (TIOCSTI, TIOCLINUX, FIOSETOWN, SIOCSPGRP)],
        "fcntl": [(2, WORD, command, False) for command in (F_SETOWN, F_SETSIG, F_SETOWN_EX)],
        "prctl": [(0, WORD, option, False) for option in (PR_SET_SECCOMP, PR_SET_PDEATHSIG)],
        "prlimit64": [(4, WORD, 0, True), (5, WORD, 0, True)],  # it may read limits, and set none
        "sched_setaffinity": [(0, WORD, 0, True)],
    }


def refuse(number: int) -> Instruction:
    """Answer with this error."""
    return (RETURN, 0, 0, ERRNO | number)


def allow_if(tests: list[Test]) -> list[Instruction]:
    """Load, mask and compare for each test; the first that does not hold jumps to the refusal at the end."""
    code: list[Instruction] = []
    for index, (half, mask, value, equal) in enumerate(tests):
        away = 3 * (len(tests) - 1 - index) + 1
        code += [(LOAD, 0, 0, ARGUMENTS + 4 * half), (AND, 0, 0, mask)]
        code += [(IF_EQUAL, 0, away, value) if equal else (IF_EQUAL, away, 0, value)]
    return [*code, (RETURN, 0, 0, ALLOW), refuse(errno.EPERM)]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(namespaces: bool = True) -> None:
    """Put this process and all its threads behind the filter, for good. no_new_privs must be set.

    Raises OSError where the kernel has no filters, or the machine is not known here.
    """
    apply(program(platform.machine(), os.getpid(), namespaces))


def apply(code: list[Instruction]) -> None:
    """Put this process, with the threads that it has, behind a program. Raises OSError."""
    data = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    libc = ctypes.CDLL(None, use_errno=True)
    column, _ = MACHINES[platform.machine()]
    number = ctypes.c_long(table(REFUSED["parts of the kernel that a model has no use for"], column)["seccomp"])
    # A driver's threads run already; a flag puts them behind it as well, or says the number of one that it cannot.
    what = ctypes.c_ulong(SECCOMP_SET_MODE_FILTER), ctypes.c_ulong(SECCOMP_FILTER_FLAG_TSYNC)
    failed = libc.syscall(number, *what, ctypes.byref(_Program(len(code), data)))
    if failed != 0:
        code_of = ctypes.get_errno() if failed < 0 else errno.EAGAIN
        raise OSError(code_of, f"install the system-call filter: {os.strerror(code_of)}")
