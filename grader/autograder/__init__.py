"""The autograder that runs at Gradescope: a zip for it, and what happens there.

    Gradescope builds an image once      unpacks the zip into /autograder/source, runs setup.sh as root
    and for each submission              starts a container, puts the files into /autograder/submission and who handed
                                         in into /autograder/submission_metadata.json, runs run_autograder as root, and
                                         reads /autograder/results/results.json

    pack.py          the zip: this project's files and the assignment's, the reference among them
    harness.py       from what Gradescope put there to an outcome
    setup.sh, run_autograder   what Gradescope runs

The container is a default Docker one, which refuses namespaces: student code runs behind the `landlock` tier, as a user
of its own that may not read the source folder. `AUTOGRADER_ROOT` names another folder than /autograder.
"""
