"""Submissions that attack, and the honest mark that each must get: see docs/attacks.md.

attack.py     what an attack is, and how it gets into the solved notebooks
field.py      what stands around the sandbox to be hit: files, sockets, canaries
judging.py    grades an attack, and says what went otherwise than it must
weakened.py   graders with one wall taken away, against which each attack was seen to succeed
table.py      prints docs/attacks.md
the others    the attacks by family, and the tests
"""
