"""Reading what is hidden: the reference, the labels, other submissions, processes, the environment, a home folder."""

from attacks.attack import Attack

DEVICES = ("mem", "kmsg", "sda", "vda", "nvme0n1", "kvm", "fuse", "net/tun", "loop-control", "tty0")


def _reading(name: str, tries: str, *paths: str) -> Attack:
    """An attack that tells the beginning of the first of these files or folders that it can read.

    A folder above Python's own is left out: the way there is shown, and nothing else in it.
    """
    code = f"""
        for path in ({", ".join(paths)},):
            if any(prefix.startswith(path + "/") for prefix in (sys.prefix, sys.base_prefix)):
                continue
            try:
                tell(os.listdir(path) if os.path.isdir(path) else open(path, "rb").read(80))
            except OSError:
                pass
    """
    return Attack(name=name, tries=tries, code=code, weakened="no_walls")


ATTACKS = [
    _reading("read_reference", "reads assignment.toml and lists the hidden folder", 'FIELD["reference"]'),
    _reading("read_checks", "reads a check", 'FIELD["reference"] + "/checks/test_encoder.py"'),
    _reading(
        "read_solution",
        "reads the solved notebook",
        'FIELD["reference"] + "/notebooks/solved/Assignment2-1_Transformer_from_scratch.ipynb"',
    ),
    _reading("read_mutants", "reads the bank of mistakes", 'FIELD["reference"] + "/mutants/attention.toml"'),
    _reading(
        "read_labels",
        "reads the labels of the held-out images, from the reference or from the distribution's data sets",
        'FIELD["reference"] + "/data/fashion-mnist/t10k-labels-idx1-ubyte.gz"',
        '"/usr/share/datasets/fashion-mnist/t10k-labels-idx1-ubyte.gz"',
        '"/usr/share/datasets"',
    ),
    _reading(
        "read_repository",
        "reads the grader's repository",
        'FIELD["repository"] + "/grade.py"',
        'FIELD["repository"] + "/.git"',
        'FIELD["repository"] + "/tests"',
    ),
    _reading("read_other_submission", "reads what another student handed in", 'FIELD["other"]'),
    _reading("read_home", "reads a file of the home folder", 'FIELD["home"]', '"/root/.bashrc"', '"/root/.ssh"'),
    _reading("read_passwords", "reads the machine's users", '"/etc/passwd"', '"/etc/shadow"'),
    _reading("read_logs", "reads the machine's logs and spools", '"/var/log"', '"/var"', '"/srv"', '"/opt"'),
    _reading("read_proc", "lists the processes of the machine", '"/proc/1/cmdline"', '"/proc"'),
    _reading(
        "read_neighbours_environment",
        "reads the environment of a process next door",
        "f\"/proc/{FIELD['neighbour']}/environ\"",
    ),
    _reading(
        "read_root_of_another",
        "goes through the root of process 1, and of the processes next door",
        '"/proc/1/root/etc"',
        "f\"/proc/{FIELD['neighbour']}/root{FIELD['other']}\"",
        "f\"/proc/{FIELD['grader']}/cwd\"",
    ),
    _reading("read_sys", "reads what /sys tells of the machine", '"/sys/class/dmi/id"', '"/sys/kernel"', '"/sys"'),
    Attack(
        name="read_devices",
        tries="opens devices: memory, disks, the kernel's log, virtual machines, network tunnels, terminals",
        code="""
            for name in @:
                try:
                    os.close(os.open(f"/dev/{name}", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
                except OSError:
                    continue
                tell(name)
        """.replace("@", repr(DEVICES)),
        weakened="no_walls",
        needs="a device that this user may open",
    ),
    Attack(
        name="read_environment",
        tries="looks for secrets in the environment",
        code="tell([value for value in os.environ.values() if re.search('CANARY-[0-9a-f]{16}', value)])",
        weakened="no_walls",
    ),
    Attack(
        name="search_everything",
        tries="walks through all folders but the system's for a canary in any file",
        code="""
            until = time.monotonic() + 3
            for top in (FIELD["reference"], "/tmp", "/run", "/root", "/home", "/mnt", "/srv", "/var", "/data"):
                for folder, _, files in os.walk(top):
                    for name in files:
                        path = os.path.join(folder, name)
                        if time.monotonic() > until or os.path.islink(path) or not os.path.isfile(path):
                            continue
                        try:
                            found = re.search(b"CANARY-[0-9a-f]{16}", open(path, "rb").read(1 << 16))
                        except OSError:
                            continue
                        tell(found and (path, found[0]))
        """,
        weakened="no_walls",
    ),
    Attack(
        name="read_existence",
        tries="asks whether the hidden folder is there at all",
        code="tell(os.path.exists(FIELD['reference']) and FIELD['reference'])",
        weakened="no_walls",
        granted="that a path exists",
    ),
    Attack(
        name="read_by_link",
        tries="reads through a symbolic link and a hard link of its own making",
        code="""
            for make in (os.symlink, os.link):
                try:
                    make(FIELD["other"], f"/tmp/{FIELD['child']}")
                    tell(open(f"/tmp/{FIELD['child']}").read())
                except OSError:
                    pass
                finally:
                    if os.path.lexists(f"/tmp/{FIELD['child']}"):
                        os.unlink(f"/tmp/{FIELD['child']}")
        """,
        weakened="no_walls",
    ),
    Attack(
        name="read_by_inode",
        tries="opens files by their inode with open_by_handle_at, past every path that is hidden",
        code="""
            libc = ctypes.CDLL(None, use_errno=True)
            handle = (ctypes.c_char * 136)()
            struct.pack_into("Ii", handle, 0, 8, 1)
            struct.pack_into("II", handle, 8, 2, 0)  # inode 2: the root of a file system
            place = os.open("/usr/lib", os.O_RDONLY)
            if libc.open_by_handle_at(place, handle, os.O_RDONLY) >= 0 or ctypes.get_errno() not in (
                errno.EPERM, errno.ENOSYS, errno.EACCES
            ):
                tell(f"not refused: errno {ctypes.get_errno()}")
        """,
        weakened="no_walls",
        needs="root",
    ),
    Attack(
        name="read_tracebacks",
        tries="asks linecache for the source of the checks by the names that tracebacks would give them",
        code="""
            import linecache
            names = [f"{FIELD['reference']}/checks/test_{name}.py" for name in ("encoder", "attention")]
            tell([line for name in names for line in linecache.getlines(name)[:3]])
        """,
        weakened="no_walls",
    ),
]
