"""Facts on whether the work is the student's own, for a person to judge: never a verdict, and no mark hangs on them.

    archives ─ intake ─▶ writing (code)   ─▶ likeness ─┐
                     ├─▶ sketch  (weights) ─▶ weights  ├─▶ facts ─▶ findings ─▶ integrity.csv
                     └─▶ notebook, record  ─▶ claims  ─┘   and labels, testset

ground.py holds what is known before (hand-out, variants), exhibit.py what is kept of one submission, facts.py makes
findings of what is alike, review.py goes over a class. claims.py holds what is printed against the rest, labels.py
looks for the answers to the test set in a hand-in, testset.py for a model that knows them.

Each finding says what was compared, a figure, and how often such a figure would come about by chance. Everything here
runs on the trusted side and executes nothing of a student's: code is parsed, weights are read as numbers.
"""
