"""The papers' claims about the rows: that one row has a higher mAP, or a higher AP of detection, than another.

Some rows were trained for a part of the schedule. Rows are compared at the last point of the learning curve that all trainings of a
claim reached.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Claim:
    """Claim that row `better` has a higher mAP than row `worse`."""

    says: str
    better: str
    worse: str
    source: str  # paper and table
    paper: tuple[float, float] | None  # mAP of worse and better, percent; None: a figure or a text without the two numbers
    data: str = "PRW"
    required: bool = False  # the table is followed by its learning curves if it is not confirmed
    metric: Literal["mAP", "ap"] = "mAP"  # "ap": of detection
    beyond: str = ""  # why the benchmark cannot test the claim, whatever its numbers; "": it can
    seeds: int = 1  # fewest of each row; with fewer the claim is open, whatever its numbers


SEQNET, ALIGNPS, TRIDENT, DKD, HYBRID = PAPERS = "SeqNet", "ROI-AlignPS", "Trident", "DKD", "Hybrid"
FIXED_TAPS = "the recipe holds offsets below .38 cells, so both rows have fixed taps"
UNEQUAL = "the crop network had its whole schedule, the student two fifths"
RATES = "NAE learns at three times Trident's rate and has a norm behind its projectors"
CLAIMS = (
    Claim("NAE beats OIM", "nae", "oim", f"{SEQNET}, Table 6", (34.0, 43.3)),
    Claim("SeqNet beats NAE", "seqnet", "nae", f"{SEQNET}, Table 6", (43.3, 46.7), required=True),
    Claim("SeqNet on OIM beats OIM", "seqnet-oim", "oim", f"{SEQNET}, Table 6", (34.0, 45.8)),
    Claim("SeqNet on NAE beats SeqNet on OIM", "seqnet", "seqnet-oim", f"{SEQNET}, Table 6", (45.8, 46.7)),
    Claim("CBGM helps SeqNet", "seqnet-cbgm", "seqnet", f"{SEQNET}, Table 6", (46.7, 47.6)),
    Claim("CBGM helps SeqNet on OIM", "seqnet-oim-cbgm", "seqnet-oim", f"{SEQNET}, Table 6", (45.8, 46.6)),
    Claim("a second pass helps NAE", "nae-serial", "nae", f"{SEQNET}, Table 1", (43.6, 44.7)),
    Claim("SeqNet's boxes help NAE", "nae-seqnets-boxes", "nae-naes-boxes", f"{SEQNET}, Table 2", (92.5, 93.3), "CUHK-SYSU"),
    Claim("SeqNet embeds NAE's boxes better", "seqnet-naes-boxes", "nae-naes-boxes", f"{SEQNET}, Table 2", (92.5, 93.1), "CUHK-SYSU"),
    Claim("SeqNet embeds true boxes better", "seqnet-true-boxes", "nae-true-boxes", f"{SEQNET}, Table 2", (94.1, 94.6), "CUHK-SYSU"),
    Claim("the first head's score helps", "seqnet", "seqnet-without-fcs", f"{SEQNET}, Table 3", (93.4, 93.8), "CUHK-SYSU"),
    Claim(
        "region alignment helps",
        "alignps",
        "alignps-without-region",
        f"{ALIGNPS}, Table II",
        (27.4, 45.9),
        required=True,
        beyond=FIXED_TAPS,
    ),
    Claim("deformable laterals help", "alignps", "alignps-without-lateral", f"{ALIGNPS}, Table II", (40.7, 45.9), beyond=FIXED_TAPS),
    Claim("a deformable output helps", "alignps", "alignps-without-output", f"{ALIGNPS}, Table II", (39.6, 45.9), beyond=FIXED_TAPS),
    Claim("concatenation helps", "alignps", "alignps-without-concat", f"{ALIGNPS}, Table II", (42.8, 45.9)),
    Claim("scale alignment: P3, not P4", "alignps", "alignps-p4", f"{ALIGNPS}, Table I", (41.4, 45.9)),
    Claim("scale alignment: P3, not P5", "alignps", "alignps-p5", f"{ALIGNPS}, Table I", (25.3, 45.9)),
    Claim("scale alignment: P3, not P3 and P4", "alignps", "alignps-p3-p4", f"{ALIGNPS}, Table I", (40.8, 45.9)),
    Claim("scale alignment: P3, not all three", "alignps", "alignps-p3-p4-p5", f"{ALIGNPS}, Table I", (39.5, 45.9)),
    Claim("task alignment: not T1", "alignps", "alignps-t1", f"{ALIGNPS}, Table III", (35.5, 45.9)),
    Claim("task alignment: not T2", "alignps", "alignps-t2", f"{ALIGNPS}, Table III", (31.8, 45.9)),
    Claim("task alignment: not T3", "alignps", "alignps-t3", f"{ALIGNPS}, Table III", (35.8, 45.9)),
    Claim("TOIM beats OIM", "alignps", "alignps-oim", f"{ALIGNPS}, Table IV", (45.7, 45.9)),
    Claim("TOIM's table helps", "alignps", "alignps-toim-without-lut", f"{ALIGNPS}, Table IV", (45.8, 45.9)),
    Claim("AlignPS beats NAE", "alignps", "nae", f"{ALIGNPS}, Table VIII", (43.3, 45.9)),
    Claim("ROI-AlignPS beats AlignPS", "roi-alignps", "alignps", f"{ALIGNPS}, Table VIII", (45.9, 51.6)),
    *(
        Claim(f"both branches beat {name}", f"roi-alignps-{source}", f"roi-alignps-{source}-{branch}", f"{ALIGNPS}, Table VI", numbers)
        for source, branch, name, numbers in (
            ("without-mutual", "alignps-branch", "the AlignPS branch", (46.4, 50.3)),
            ("without-mutual", "roi-branch", "the RoI branch", (47.8, 50.3)),
            ("without-rpn", "alignps-branch", "the AlignPS branch, no RPN", (44.9, 48.6)),
            ("without-rpn", "roi-branch", "the RoI branch, no RPN", (43.9, 48.6)),
        )
    ),
    Claim("training by an RPN helps", "roi-alignps-without-mutual", "roi-alignps-without-rpn", f"{ALIGNPS}, Table VI", (48.6, 50.3)),
    Claim("both branches beat ROI-Align*", "roi-alignps-without-rpn", "roi-alignps-roi-only", f"{ALIGNPS}, Table VI", (47.5, 48.6)),
    Claim("mutual information helps", "roi-alignps", "roi-alignps-without-mutual", f"{ALIGNPS}, Table VII", (50.3, 51.6)),
    Claim("KL divergence helps", "roi-alignps-kl", "roi-alignps-without-mutual", f"{ALIGNPS}, Table VII", (50.3, 50.4)),
    Claim("diversity helps", "roi-alignps-dv", "roi-alignps-without-mutual", f"{ALIGNPS}, Table VII", (50.3, 50.4)),
    *(
        Claim(f"mutual information alone beats {terms}", "roi-alignps", f"roi-alignps-{terms}", f"{ALIGNPS}, Table VII", (number, 51.6))
        for terms, number in (("kl", 50.4), ("dv", 50.4), ("mi-kl", 51.1), ("mi-dv", 50.4), ("kl-dv", 50.0), ("mi-kl-dv", 51.4))
    ),
    Claim(
        "region alignment helps with taps that move",
        "alignps-sgd",
        "alignps-sgd-without-region",
        f"{ALIGNPS}, Table II",
        (27.4, 45.9),
        seeds=2,
    ),
    Claim("Trident beats NAE at one rate", "trident", "nae-slow", f"{TRIDENT}, Table 3", (44.0, 53.3), seeds=2),
    Claim("Trident with a norm beats NAE", "trident-with-norm", "nae", f"{TRIDENT}, Table 3", (44.0, 53.3), seeds=2),
    Claim("Trident beats NAE", "trident", "nae", f"{TRIDENT}, Table 3", (44.0, 53.3), beyond=RATES),
    *(
        Claim(says, "trident", f"trident-without-{part}", f"{TRIDENT}, Table {table}", (number, 48.04), "PRW, multi-view")
        for says, part, table, number in (
            ("adaptive gradient weighting helps", "agwf", 1, 46.87),
            ("part classification helps", "parts", 1, 46.52),
            ("both help", "agwf-and-parts", 1, 45.82),
            ("the binary and the unlabelled term help", "binary-and-unlabelled", 2, 47.44),
        )
    ),
    Claim(
        "adaptive gradient weighting helps detection",
        "trident",
        "trident-without-agwf",
        f"{TRIDENT}, Table 1 (AP +2.24)",
        None,
        metric="ap",
    ),
    Claim(
        "part classification helps detection",
        "trident",
        "trident-without-parts",
        f"{TRIDENT}, Table 1 (AP +1.32)",
        None,
        metric="ap",
    ),
    Claim("the student detects a little better", "dkd", "dkd-ours-0", f"{DKD}, Table 1", (87.23, 87.87), "CUHK-SYSU, AP", metric="ap"),
    Claim("DKD helps its baseline", "dkd", "dkd-ours-0", f"{DKD}, Table 3", (41.91, 50.51), required=True),
    *(
        Claim(says, better, worse, f"{DKD}, Table {table}", numbers, beyond=UNEQUAL if says == "two steps beat the student" else "")
        for says, better, worse, table, numbers in (
            ("probabilities help", "dkd-ours-1", "dkd-ours-0", 2, (41.91, 49.44)),
            ("ISA helps the student", "dkd-ours-2", "dkd-ours-1", 2, (49.44, 49.78)),
            ("FSA helps", "dkd-ours-3", "dkd-ours-2", 2, (49.78, 50.15)),
            ("ISA helps the teacher at true boxes", "reid", "reid-r-1", 2, (54.46, 56.78)),
            ("ISA helps two steps", "d-r-2", "d-r-1", 2, (51.85, 54.16)),
            ("two steps beat the student", "d-r-2", "dkd", 3, (50.51, 54.16)),
            ("pairs help", "dkd-ours-4", "dkd-ours-0", 3, (41.91, 46.00)),
            ("triplets help", "dkd-ours-5", "dkd-ours-0", 3, (41.91, 45.54)),
            ("pairs help triplets", "dkd-ours-6", "dkd-ours-5", 3, (45.54, 47.18)),
            ("triplets help pairs", "dkd-ours-6", "dkd-ours-4", 3, (46.00, 47.18)),
            ("probabilities help both", "dkd", "dkd-ours-6", 3, (47.18, 50.51)),
            ("triplets help the other two", "dkd", "dkd-ours-7", 3, (50.18, 50.51)),
            ("pairs help the other two", "dkd", "dkd-ours-8", 3, (50.46, 50.51)),
            ("the teacher's random erasing helps", "dkd", "dkd-teacher-without-erasing", 6, (50.19, 50.51)),
            ("the teacher's BNNeck helps", "dkd", "dkd-teacher-without-bnneck", 6, (47.83, 50.51)),
        )
    ),
    Claim("pairs help probabilities", "dkd-ours-7", "dkd-ours-3", f"{DKD}, Tables 2 and 3", (50.15, 50.18)),
    Claim("triplets help probabilities", "dkd-ours-8", "dkd-ours-3", f"{DKD}, Tables 2 and 3", (50.15, 50.46)),
    # the papers' other start is ImageNet, here it is random
    Claim("pre-training helps NAE", "nae-pretrained", "nae-random", f"{HYBRID}, Table 1 (ResNet-18)", (35.87, 39.79), required=True),
    Claim("pre-training helps AlignPS", "alignps-pretrained", "alignps-random", f"{HYBRID}, Table 2", (45.90, 49.14)),
    Claim("pre-training helps ROI-AlignPS", "roi-alignps-pretrained", "roi-alignps-random", f"{HYBRID}, Table 2", (51.84, 54.47)),
    Claim("the whole network helps more", "nae-pretrained-whole", "nae-pretrained", f"{HYBRID}, Fig. 5", None),
    Claim("it helps with 20 % of the data", "nae-pretrained-20-percent", "nae-random-20-percent", f"{HYBRID}, Fig. 5", None),
    Claim("it helps with 60 % of the data", "nae-pretrained-60-percent", "nae-random-60-percent", f"{HYBRID}, Fig. 5", None),
    Claim("with 60 % it beats all without", "nae-pretrained-60-percent", "nae-random", f"{HYBRID}, Fig. 5", None),
    Claim("expand_resize beats random_paste", "nae-pretrained", "nae-pretrained-random-paste", f"{HYBRID}, Table 4", (46.49, 47.08)),
    Claim("inter-task alignment harms", "nae-pretrained", "nae-pretrained-inter-task", f"{HYBRID}, Table 5", (46.53, 47.08)),
    Claim("intra-task alignment helps", "nae-pretrained", "nae-pretrained-without-alignment", f"{HYBRID}, Fig. 6", None),
    Claim("its consistency helps (by 0.3)", "nae-pretrained", "nae-pretrained-without-consistency", f"{HYBRID}, text of Eq. 7", None),
)
