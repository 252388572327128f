"""The recipes by paper: what each is, what it starts from, its schedule, and what differs from the paper."""

from collections.abc import Mapping
from dataclasses import dataclass

from personsearch.training.recipes.catalogue import builders
from personsearch.training.recipes.schema import DKDLosses, OptimizerRecipe, Recipe

SCRATCH = "-scratch"
DATA = {"cuhk": "CUHK-SYSU", "prw": "PRW", "posetrack21": "PoseTrack21"}
# Beginning of a name -> paper; the first that fits
PAPERS = {
    "hybrid-": "Hybrid pre-training (arXiv 2312.07970)",
    "oim-": "OIM and NAE, as in SeqNet's paper (arXiv 2103.10148)",
    "nae-": "OIM and NAE, as in SeqNet's paper (arXiv 2103.10148)",
    "seqnet-": "SeqNet (arXiv 2103.10148)",
    "seqnext-": "SeqNeXt and GFN (arXiv 2210.12903)",
    "gfn-": "SeqNeXt and GFN (arXiv 2210.12903)",
    "alignps-": "AlignPS and ROI-AlignPS (arXiv 2109.00211)",
    "roi-alignps-": "AlignPS and ROI-AlignPS (arXiv 2109.00211)",
    "trident-": "Trident with AGWF (ICCV 2021)",
    "dkd-": "DKD (AAAI 2021)",
    "reid-": "DKD (AAAI 2021)",
}
ARCHITECTURES = {
    "oim": "OIM",
    "nae": "NAE",
    "seqnet": "SeqNet",
    "seqnext": "SeqNeXt",
    "alignps": "AlignPS",
    "roi-alignps": "ROI-AlignPS",
    "trident": "Trident",
    "dkd": "DKD's student",
    "reid": "DKD's teacher, a crop network",
}
# Part of a name -> what it changes; the papers' own names of their rows
ENDINGS = {
    "baseline": "FCOS with P3 to P7 and a re-id head beside (Fig. 6)",
    "scale": "scale alignment",
    "region": "region alignment",
    "task": "task alignment",
    "res3-res4": "deformable res3 and res4 (Table V)",
    "res3": "deformable res3 (Table V)",
    "plus": "deformable res3 to res5 (AlignPS+)",
    "gfn": "with GFN, the gallery filter",
    "without-mutual": "no mutual terms (Table VI)",
    "without-rpn": "no region proposals (Table VI)",
    "roi-only": "ROI-Align* (Table VI)",
    "mi": "mutual information",
    "kl": "divergence (Table VII)",
    "dv": "diversity (Table VII)",
    "seqnet-oim": "OIM as the second head (Table 6)",
    "reid-only": "second head learns identities alone (Table 3)",
    "reid-and-boxes": "second head without class loss (Table 3)",
    "reid-and-classes": "second head without box loss (Table 3)",
    "with-norm": "batch norm behind the encoders",
    "without-agwf": "without adaptive weighting (Table 1)",
    "without-parts": "without part classification (Table 1)",
    "without-agwf-and-parts": "without either (Table 1)",
    "without-binary-and-unlabelled": "without both terms (Table 2)",
    "without-binary": "without the binary term (Table 2)",
    "without-unlabelled": "without the unlabelled term (Table 2)",
    "betas-with-comma": "other reading of Eq. 5's weights",
    "hinton": "divergence as in Hinton et al.",
    "r-1": "zero padding and crop for ISA (R-1)",
    "without-erasing": "no random erasing (Table 6)",
    "without-bnneck": "no BNNeck (Table 6)",
    "random-paste": "random_paste for expand_resize (Table 4)",
    "supervised": "without the contrastive loss",
    "without-alignment": "without alignment (Fig. 6)",
    "without-consistency": "alignment without consistency",
    "inter-task": "alignment between tasks too (Table 5)",
    "resnet18": "ResNet-18 (Table 1)",
    "shufflenet": "ShuffleNet v2 (Table 1)",
    "pretrained": "stride of torchvision's ResNet-50, for a pre-trained start (Table 2)",
}
# Beginning of a name -> what differs from the paper; the rest is in docs/papers.md
DIFFERS = {
    "hybrid-": "length, drops, eta and lambda are choices",
    "seqnet-": "Eq. 1 divides by all regions, as the code",
    "seqnext-": "whole pictures, not random crops; float32",
    "gfn-": "whole pictures, not random crops; float32",
    "nae-": "-",
    "oim-": "-",
    "alignps-": "margin, mining and clip are the code's",
    "roi-alignps-": "weight of the mutual term is the code's",
    "trident-": "sampling, box weight and clip are NAE's",
    "dkd-": "5e4 iterations for 5e5; sampling and clip are NAE's",
    "reid-": "drops are the strong baseline's",
}


@dataclass(frozen=True)
class Line:
    """One recipe in the table."""

    name: str
    paper: str
    what: str
    start: str
    schedule: str
    differs: str


def lines() -> list[Line]:
    """All recipes but those from scratch, by paper and in the catalogue's order."""
    listed = [line_of(name, build()) for name, build in builders().items() if not name.endswith(SCRATCH)]
    order = list(dict.fromkeys(PAPERS.values()))
    return sorted(listed, key=lambda line: order.index(line.paper))


def line_of(name: str, recipe: Recipe) -> Line:
    """The table's line of a recipe."""
    return Line(name, _by_beginning(name, PAPERS), _what(name, recipe), _start(recipe), _schedule(recipe), _differs(name))


def table() -> str:
    """The recipes as text, one block a paper."""
    listed = lines()
    names = max(len(line.name) for line in listed)
    text: list[str] = []
    for paper in dict.fromkeys(line.paper for line in listed):
        rows = [line for line in listed if line.paper == paper]
        widths = [names, *(max(len(getattr(row, field)) for row in rows) for field in ("what", "start", "schedule"))]
        head = Line("recipe", paper, "what it is", "start", "schedule", "differs from the paper")
        widths = [max(pair) for pair in zip(widths, map(len, (head.name, head.what, head.start, head.schedule)), strict=True)]
        text += ["", paper, *(_row(line, widths) for line in (head, *rows))]
    ending = f'Most recipes also come with the ending "{SCRATCH}": random weights, nothing frozen, AdamW with a cosine schedule.'
    note = '"ImageNet": pass --backbone-weights FILE, or --initial FOLDER for a model of this package.'
    return "\n".join([*text[1:], "", ending, note, "personsearch recipes NAME prints a recipe as JSON, to edit and to pass to train."])


def _row(line: Line, widths: list[int]) -> str:
    cells = (line.name, line.what, line.start, line.schedule)
    return "  ".join([*(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)), line.differs])


def _what(name: str, recipe: Recipe) -> str:
    if recipe.pretraining is not None:
        parts = ["Pre-training of NAE"]
    else:
        data = next((title for key, title in DATA.items() if f"-{key}" in name), "")
        parts = [f"{ARCHITECTURES[recipe.network['architecture']]} on {data}"]
    rest = f"-{name}-"
    for ending, what in sorted(ENDINGS.items(), key=lambda pair: -len(pair[0])):
        if f"-{ending}-" in rest:
            rest = rest.replace(f"-{ending}-", "-")
            parts.append(what)
    if name.endswith("-paper"):
        parts.append("Eq. 1 and warm-up as printed" if name.startswith("seqnet") else "by the paper's text")
    if name.endswith("-code"):
        parts.append("by the authors' code")
    if "-ours-" in name:
        parts.append(f"Ours-{name.rpartition('-')[2]} of Tables 2 and 3")
    if name.endswith("-sets"):
        count = len(recipe.pretraining.detection + recipe.pretraining.reid) if recipe.pretraining is not None else 0
        parts.append(f"{count} of the five data sets (Fig. 6)")
    if name.startswith("dkd-") and name.endswith("-d"):
        parts.append("the detector D alone (Table 2)")
    return ", ".join(parts)


def _start(recipe: Recipe) -> str:
    caffe = recipe.network.get("backbone", {}).get("style") == "caffe"
    start = "ImageNet (Caffe's ResNet-50)" if caffe else "ImageNet"
    if isinstance(recipe.losses, DKDLosses) and recipe.losses.distillation is not None:
        start += f" and --teacher, {_teacher_of(recipe.name)}"
    return start


def _teacher_of(student: str) -> str:
    """The recipe of the crop network that teaches a student: R-1 of Ours-1, R-2 of the others."""
    data = next(key for key in DATA if f"-{key}" in student)
    return f"reid-{data}" + "-r-1" * student.endswith("-ours-1")


def _schedule(recipe: Recipe) -> str:
    optimizer: OptimizerRecipe = recipe.optimizer
    drops = "".join(f", x{optimizer.drop_factor:g} after {epoch}" for epoch in optimizer.drops)
    return f"{recipe.epochs} epochs of {recipe.batch_size}, {optimizer.name} {optimizer.learning_rate:g}{drops}"


def _differs(name: str) -> str:
    if name.startswith("seqnet-") and name.endswith("-paper"):
        return "-"
    if name.endswith("-code"):
        return "the code's numbers"
    return _by_beginning(name, DIFFERS)


def _by_beginning(name: str, table: Mapping[str, str]) -> str:
    return next(text for beginning, text in table.items() if name.startswith(beginning))
