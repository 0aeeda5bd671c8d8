"""What the checks of one class's equations share: the same weights give the same answers, in several sizes."""

from grader.checking import adopt, assert_close, randomise, together


def agree(layers, what):
    """Fail unless each of the student's layers answers as the oracle's does.

    layers: for each size the student's, the oracle's, the inputs, and the number of heads. They are asked together.
    """
    for theirs, *_ in layers:
        randomise(theirs)
    answers = list(together((theirs, inputs) for theirs, _, inputs, _ in layers))
    for (theirs, ours, inputs, heads), answer in zip(layers, answers, strict=True):
        adopt(theirs, ours, lambda a=answer, o=ours, i=inputs: assert_close(a, o(*i), what), heads=heads)
