"""What a check holds in its hands.

student.py   the submission behind the wall: proxies that send arguments and get plain tensors back
promises.py  what is sent together with the next question
memory.py    what is found out once, by both
oracle.py    the trusted answer: the reference's own classes, in this process
compare.py   equality, decided by our torch on our tensors, with evidence
probes.py    properties: what moves what, and what must not
roles.py     which of the student's layers plays which part, found by trying
following.py how far a computation goes along with the reference's, and where it departs
diagnosis.py which known mistake it is
figures.py   what an exhibit shows of it
"""

from grader.checking.compare import assert_close, assert_shape, assert_tensor, differs, fail, tolerance
from grader.checking.figures import figure
from grader.checking.oracle import Oracle
from grader.checking.probes import at_once, differing_from, moved, variations
from grader.checking.roles import adopt, randomise
from grader.checking.student import ClassProxy, FunctionProxy, ObjectProxy, Student, together

__all__ = [
    "ClassProxy",
    "FunctionProxy",
    "ObjectProxy",
    "Oracle",
    "Student",
    "adopt",
    "assert_close",
    "assert_shape",
    "assert_tensor",
    "at_once",
    "differing_from",
    "differs",
    "fail",
    "figure",
    "moved",
    "randomise",
    "together",
    "tolerance",
    "variations",
]
