"""Bad input by the thousand: each case ends in a result or in one sentence of the project's own.

    pytest tests/fuzz                                the cases of `make test`, the same ones each time
    pytest tests/fuzz --fuzz-cases 100000            many more, under a new seed
    pytest tests/fuzz --fuzz-cases 100000 --fuzz-seed 7   the same ones again

A case is a good input with a few things wrong: `mutation` makes it, the tests say how it may end. A case that ends
otherwise is named with its seed and number, and its input is kept. What was found is mended, and stands as a named test
in tests/fuzz/test_found.py.
"""
