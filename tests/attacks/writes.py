"""Writing results, others' files, or into the system that the next submission will see."""

from attacks.attack import Attack

ATTACKS = [
    Attack(
        name="overwrite_results",
        tries="writes full marks into a file of results",
        code="""
            try:
                open(FIELD["results"], "w").write('{"score": 100}')
            except OSError:
                pass
        """,
        weakened="no_walls",
    ),
    Attack(
        name="replace_results",
        tries="renames a file of its own onto the results",
        code="""
            open("mine", "w").write("100")
            try:
                os.replace("mine", FIELD["results"])
            except OSError:
                os.unlink("mine")
        """,
        weakened="no_walls",
    ),
    Attack(
        name="drop_beside_results",
        tries="puts a record of its own beside the others'",
        code="""
            try:
                open(os.path.join(os.path.dirname(FIELD["results"]), "forged.json"), "w").close()
            except OSError:
                pass
        """,
        weakened="no_walls",
    ),
    Attack(
        name="change_the_worker",
        tries="rewrites the worker's own files",
        code="""
            from grader import wire
            try:
                open(wire.__file__, "r+b").close()
            except OSError:
                return None
            tell(wire.__file__)
        """,
        weakened="no_walls",
    ),
    Attack(
        name="plant_a_module",
        tries="plants a module where Python looks for them, for whoever imports it next",
        code="""
            for folder in [os.path.dirname(torch.__file__), *sys.path]:
                path = os.path.join(folder, f"{FIELD['child']}.py")
                try:
                    open(path, "x").close()
                except OSError:
                    continue
                os.unlink(path)
                tell(path if not path.startswith("/tmp") else "")
        """,
        weakened="no_walls",
    ),
    Attack(
        name="change_the_reference",
        tries="makes the hidden files writable for all, and changes a check",
        code="""
            path = FIELD["reference"] + "/data/labels.txt"
            try:
                os.chmod(path, 0o666)
                open(path, "a").close()
            except OSError:
                return None
            tell(path)
        """,
        weakened="no_walls",
    ),
    Attack(
        name="remove_a_submission",
        tries="makes another student's file its own and removes it",
        code="""
            spare = FIELD["other"] + ".moved"
            try:
                os.rename(FIELD["other"], spare)
            except OSError:
                return None
            os.rename(spare, FIELD["other"])
            tell(spare)
        """,
        weakened="no_walls",
    ),
    Attack(
        name="write_to_open_descriptors",
        tries="writes to every open descriptor, in case one of them leads to a terminal, a log or a result",
        code="""
            for number in range(3, 256):
                try:
                    if not stat.S_ISSOCK(os.fstat(number).st_mode) and os.write(number, b"\\n"):
                        tell(number)
                except OSError:
                    pass
        """,
        weakened="keeps_descriptors",
    ),
]
