"""Submissions that attack, and the honest mark that each must get: see docs/attacks.md.

attack.py     what an attack is, and how it gets into the solved notebooks
field.py      what stands around the sandbox to be hit: files, sockets, canaries
judging.py    grades an attack, and says what went otherwise than it must
weakened.py   runs an attack against a grader that is weak in one place, where it must succeed
weak_*.py     these graders: weak walls around the worker, a weak trusted side
table.py      prints docs/attacks.md
the others    the attacks by family, and the tests
"""
