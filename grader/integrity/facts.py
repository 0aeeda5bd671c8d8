"""From what is kept of a class to findings: what two have in common, and what one claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from grader.integrity import testset, weights, words
from grader.integrity.chance import EVERYTHING
from grader.integrity.exhibit import Exhibit
from grader.integrity.findings import Finding, grouped
from grader.integrity.likeness import ClassCode, Likeness
from grader.integrity.writing import Slot, Text
from grader.sample import Norm

RATE = 0.05  # findings on code that a whole class of independent students is expected to give, by chance
MOST_HOLDERS = 100  # of four numbers in a row: what more have printed is no one's own
LEAST_RUNS = 3  # of four numbers, that two logs must share


def compared(
    exhibits: Sequence[Exhibit],
    recent: int,
    known: Mapping[Slot, Sequence[Text]],
    seed: int,
    norm: Norm | None = None,
) -> list[Finding]:
    """All findings, those on weights first, then code, logs, the test set and claims. The first `recent` are this
    year's."""
    found = [*_on_weights(exhibits, recent), *_on_code(exhibits, recent, known, seed), *_on_logs(exhibits, recent)]
    now = exhibits[:recent]
    alone = (finding for one in now for finding in one.alone)
    asked = [(one.student, one.asked) for one in now if one.asked is not None]
    on_test_set = testset.findings(asked, norm) if norm is not None else ()
    return grouped([*found, *alone, *on_test_set, *_on_words(exhibits, recent), *_on_claims(now)])


def _on_code(
    exhibits: Sequence[Exhibit], recent: int, known: Mapping[Slot, Sequence[Text]], seed: int
) -> Iterator[Finding]:
    if recent == 0:
        return
    everyone = ClassCode([exhibit.writing for exhibit in exhibits], recent, known, seed)
    for likeness in everyone.findings(RATE):
        yield Finding(
            kind="code",
            students=_students(exhibits, likeness.pair),
            compared=f"what was written into {'both notebooks' if likeness.where == EVERYTHING else likeness.where}, "
            "without the hand-out's code; blind to names, comments, formatting and order",
            figure=_shares(likeness),
            chance=f"{likeness.expected:.2g} pairs so alike are expected in a class of {recent} that works apart "
            f"({everyone.pairs} pairs, ranked against the class and {_count(known)} correct variants)",
            what="the two write the same where others write otherwise; a common source, or help that was allowed, "
            "does that too: ask both how they came to the passages",
            passages=everyone.passages(likeness),
        )


def _shares(likeness: Likeness) -> str:
    slots = [f"{slot.label} {100 * share:.0f}% (p={p:.2g})" for slot, share, p in likeness.slots if p < 1]
    return ", ".join(slots)


def _count(known: Mapping[Slot, Sequence[Text]]) -> int:
    return sum(map(len, known.values()))


def _on_weights(exhibits: Sequence[Exhibit], recent: int) -> Iterator[Finding]:
    sketches = {place: one.weights for place, one in enumerate(exhibits) if one.weights is not None}
    found = weights.alike(sketches, recent)
    groups = {one.places[0]: len(one.places) for one in found if one.files}
    for one in found:
        ways = _ways(exhibits[place].training for place in one.places)
        trained_alike = ways == 1 and one.how != weights.MOVED
        yield Finding(
            kind="weights",
            students=_students(exhibits, one.places),
            compared="the checkpoints, tensor by tensor" if one.tensors else "the checkpoints as a whole",
            figure=_figure(one),
            chance=_chance_of_weights(one, trained_alike),
            what="; ".join(
                (
                    one.how,
                    _what_of_weights(len(one.places), ways, trained_alike),
                    *(
                        f"{exhibits[place].student} stands for the {groups[place]} that hold its numbers"
                        for place in one.places
                        if place in groups and not one.files
                    ),
                )
            ),
        )


def _ways(trainings: Iterable[str]) -> int:
    """In how many ways notebooks build and train; one of which that is not known is one way by itself."""
    counts = Counter(trainings)
    return len(counts) - (1 if "" in counts else 0) + counts[""]


def _what_of_weights(many: int, ways: int, trained_alike: bool) -> str:
    if trained_alike:
        return (
            f"{'both' if many == 2 else f'all {many}'} notebooks build and train alike, seed and all: machines of one "
            "kind then come to the same weights honestly"
        )
    if many == 2:
        return "the two notebooks build or train in different ways: ask how each .pth was made"
    return f"the {many} notebooks build or train in {ways} ways: ask how each .pth was made"


def _figure(one: weights.Alike) -> str:
    if one.how in (weights.LEARNED, weights.MOVED):
        return f"cosine {one.part:.3f}"
    tensors = f", {len(one.tensors)} tensors" if one.tensors else ""
    if len(one.places) == 2:
        return f"{100 * one.part:.0f}% of the numbers{tensors}"
    files = "one file" if one.files == 1 else f"{one.files} files"
    least = "at least " if one.part < 1 else ""
    return f"{least}{int(100 * one.part)}% of the first one's numbers{tensors}; {len(one.places)} submissions, {files}"


def _chance_of_weights(one: weights.Alike, trained_alike: bool) -> str:
    if trained_alike:
        return "expected of equal training with one seed on equal machines; says little by itself"
    if one.how == weights.MOVED:
        return "no training puts channels into another order, and none of 56 pairs trained apart comes so near"
    if one.ground:
        return (
            f"number {one.rank} of {one.ground} pairs with these shapes in this class; "
            "docs/integrity.md has the figures of models that were trained apart"
        )
    return "in none of 56 pairs of models that were trained apart (docs/integrity.md)"


def _on_logs(exhibits: Sequence[Exhibit], recent: int) -> Iterator[Finding]:
    """The same log of a training in notebooks that train in different ways. Who holds one log throughout is one."""
    held: Counter[str] = Counter(run for one in exhibits for run in one.runs)
    logs: dict[frozenset[str], list[int]] = {}
    for place, one in enumerate(exhibits):
        logs.setdefault(frozenset(run for run in one.runs if 2 <= held[run] <= MOST_HOLDERS), []).append(place)
    holders = list(logs.values())
    shared: Counter[tuple[int, int]] = Counter()
    by_run: dict[str, list[int]] = {}
    for number, (log, places) in enumerate(logs.items()):
        if len(places) > 1:
            shared[number, number] = len(log)
        for run in log:
            earlier = by_run.setdefault(run, [])
            shared.update((other, number) for other in earlier)
            earlier.append(number)
    for (one_log, other_log), count in sorted(shared.items()):
        places = sorted({*holders[one_log], *holders[other_log]})
        ways = len({exhibits[place].training for place in places})
        if count >= LEAST_RUNS and places[0] < recent and ways > 1:
            yield Finding(
                kind="log",
                students=_students(exhibits, places),
                compared="the numbers that the training printed, four in a row",
                figure=f"{count} runs of four numbers are the same"
                + (f" in {len(places)} submissions" if len(places) > 2 else ""),
                chance="were the last two digits of each number left to chance, one place in 10⁸; equal training on "
                "equal machines prints equal logs, but these notebooks build or train in different ways",
                what=f"one training seems to have printed {'both' if len(places) == 2 else 'all these'} logs: ask "
                "whose it is",
            )


def _on_words(exhibits: Sequence[Exhibit], recent: int) -> Iterator[Finding]:
    found = words.alike([exhibit.said for exhibit in exhibits], recent)
    for one in found:
        as_many = sum(other.lines >= one.lines for other in found)
        yield Finding(
            kind="words",
            students=_students(exhibits, one.pair),
            compared="comments and sentences of four words and more that stand neither in the hand-out nor in the "
            "solution nor in a correct variant",
            figure=f"{one.lines} are the same, and at most {words.MOST_HOLDERS} submissions have them",
            chance=f"{as_many} of the pairs in this class share {one.lines} or more; a source that few others used "
            "does that too",
            what="the two say the same in the same words where nobody else does: ask where the words are from",
            passages=one.passages,
        )


def _on_claims(exhibits: Sequence[Exhibit]) -> Iterator[Finding]:
    counts = Counter(claim.kind for one in exhibits for claim in one.claims)
    for one in exhibits:
        for claim in one.claims:
            yield Finding(
                kind="claim",
                students=(one.student,),
                compared=f"{claim.kind}; {claim.where}",
                figure=claim.figure,
                chance=f"so in {counts[claim.kind]} of {len(exhibits)} submissions of this class; often only a cell "
                "that was changed after it ran",
                what=claim.what,
            )


def _students(exhibits: Sequence[Exhibit], places: Iterable[int]) -> tuple[str, ...]:
    return tuple(exhibits[place].student for place in places)
