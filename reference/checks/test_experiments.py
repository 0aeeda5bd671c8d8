"""Problem 2: at least five hyperparameter settings, each with its accuracy and an analysis."""

from grader.checking import fail
from grader.errors import Missing
from grader.experiments import proposal


def expect(found, needed, what, experiments):
    if not found:
        raise Missing(f"no experiment with {what} was found in the notebook")
    if found < needed:
        places = [experiment.source for experiment in experiments.found]
        fail(f"{found} of {needed} experiments with {what} were found", share=found / needed, places=places)


def test_results(experiments, assignment):
    """At least five different settings, each with the accuracy that it reached"""
    needed = assignment.config.experiments.needed
    expect(proposal(experiments, needed)[1], needed, "an accuracy", experiments)


def test_analysis(experiments, assignment):
    """An analysis of each setting"""
    needed = assignment.config.experiments.needed
    expect(proposal(experiments, needed)[2], needed, "an analysis", experiments)
