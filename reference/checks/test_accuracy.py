"""The handed-in model on the 10,000 test images of FashionMNIST."""

from grader.checking import fail


def test_bar(trained):
    """The test accuracy reaches the bar"""
    result = trained.accuracy()
    if result.correct < trained.spec.bar * result.total:
        fail(
            f"{result.correct} of {result.total} test images are right: {result.accuracy:.2%}, "
            f"below {trained.spec.bar:.2%}",
            accuracy=result.accuracy,
            bar=trained.spec.bar,
            settings=result.settings,
        )
