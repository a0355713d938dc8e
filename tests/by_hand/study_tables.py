"""The tables of docs/geotex.md on a study, from the measures of its runs alone.

python -m tests.by_hand.study_tables studies/cpu
"""

import json
import sys
from pathlib import Path

from sagan_tf.study.curves import mean_known
from sagan_tf.study.findings import RATES, Findings
from sagan_tf.study.plans import OFF
from sagan_tf.study.readings import load_measures

# What the name of an arm stands for.
LABELS = {
    "none": "nothing",
    "attention": "attention",
    "local": "attention within 3 cells",
    "residual": "a residual bottleneck",
    OFF: "itself with shut gates",
}


def load(study):
    """The measures of a study's runs, and its last step."""
    records = [record for run in sorted(study.glob("runs/*")) for record in load_measures(run)]
    return Findings(records), json.loads((study / "study.json").read_text())["steps"]


def gains(findings, steps):
    """Rows: gain of one arm over another in geometry, texture and their difference, with p."""
    names = (*findings.geometry, *findings.texture)
    tested = [f"{what} (95 %; p)" for what in ("geometry", "texture", "geometry less texture")]
    yield ["gain of", "over", "pairs", *tested, *names]
    for found in findings.comparisons(steps, averaged=True):
        if found.group:
            continue
        tests = (found.geometry, found.texture, found.interaction)
        yield [
            LABELS[found.arm],
            LABELS[found.other],
            str(found.interaction.pairs),
            *(
                f"{test.mean:+.2f} ({test.low:+.2f} to {test.high:+.2f}; {test.p_value:.2g})"
                for test in tests
            ),
            *(f"{found.gains[name]:+.2f}" for name in names),
        ]


def rates(findings, step):
    """Rows: of each class and arm, rates over all images, and the least and the greatest grade."""
    rates = ("readable", "satisfied", "satisfied, of the readable", "by chance")
    yield ["class", "arm", *rates, "closeness", "grade (of the runs)"]
    for name in (*findings.geometry, *findings.texture):
        for arm in LABELS:
            if not findings.pairs(arm, step, True, name):
                continue
            cells = [f"{findings.rate(arm, step, True, name, rate).value:.2f}" for rate in RATES]
            for score in ("chance", "closeness"):
                value = mean_known(findings.values(arm, step, True, name, score))
                cells.append(f"{value:.2f}" if name in findings.geometry else "")
            grades = findings.values(arm, step, True, name, "graded")
            of_runs = f"{min(grades):.2f} to {max(grades):.2f}"
            yield [name, LABELS[arm], *cells, f"{mean_known(grades):.2f} ({of_runs})"]


def lifts(findings, step):
    """Rows: of each layer and class, partner lift, trained and not, and how much it is used."""
    yield ["arm", "layer", "class", "partner lift", "untrained", "of another image's map", "usage"]
    for arm in ("attention", "local"):
        records = findings.attention(arm)
        for layer in dict.fromkeys(path for record in records for path in record["attention"]):
            for name in findings.geometry:
                measures = ((step, "lift"), (0, "lift"), (step, "other_lift"), (step, "usage"))
                cells = [
                    mean_known(
                        [
                            record["attention"][layer][name][measure]
                            for record in records
                            if record["step"] == at and name in record["attention"][layer]
                        ]
                    )
                    for at, measure in measures
                ]
                # Random weights draw nothing that could be read.
                yield [LABELS[arm], layer, name, *("" if c != c else f"{c:.2f}" for c in cells)]


def as_table(rows):
    """The rows as a table in Markdown, the first one as its head."""
    head, *body = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([head, "|---" * head.count(" |") + "|", *body])


def tables(study):
    """The tables of a study, in the order of the page."""
    findings, last = load(study)
    return [
        as_table(gains(findings, [last])),
        as_table(gains(findings, findings.steps(averaged=True))),
        as_table(rates(findings, last)),
        as_table(lifts(findings, last)),
    ]


if __name__ == "__main__":
    print("\n\n".join(tables(Path(sys.argv[1]))))
