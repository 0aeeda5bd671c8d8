"""The grading engine: it knows no assignment, and never runs student code in its own process."""

__version__ = "0.1.0"
