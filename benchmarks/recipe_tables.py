"""Tables of docs/results.md and of the pages behind it: what `npp evaluate` wrote of recipes and maps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tables import load, table

# Arms, judges and qualities are named for a reader; in the result files they have the configurations' names.
_ARMS = {
    "machine": "the encoder's settings alone",
    "half": "half the size alone",
    "machines": "the recipe `machines`",
    "detection": "the recipe `detection`",
    "recipe": "the whole recipe",
}
_BEHIND = {
    "bpg-restored": "BPG, restored",
    "recipe": "the recipe, any decoder",
    "restored": "the recipe, restored",
}
_IN_FRONT = {"machine": "the encoder's settings alone", "recipe": "the whole recipe, any decoder"}
_REFINED = {
    "recipe": "the recipe, nothing searched",
    "gradients": "the settings and the map of its gradients",
    "map": "the recipe's map, searched on",
    "pixels": "the recipe's map, the pixels searched",
    "both": "map and pixels searched",
}
_SHARING = {
    "rates": "the sizes of files",
    "sensitivity": "sizes and predicted sensitivity",
    "measured": "sizes and what {judge} loses",
}
_JUDGES = {
    "efficientnet-lite0": "EfficientNet-Lite0",
    "efficientnet-lite2": "EfficientNet-Lite2",
    "rapidocr": "PP-OCR",
}
_QUALITIES = {
    "kl": "at equal divergence",
    "distance": "at equal divergence",
    "agreement": "at equal agreement",
    "f1": "at equal F1",
    "true_miou": "at equal mIoU",
    "ap": "at equal AP",
    "ctc": "at equal CTC loss",
    "exact_match": "at equal exact match",
}
# Where the bits of its files are shared in an evaluation of its own, with a network that says who loses more.
_SHARED_IN = {"other_family": "judge_other_family"}
#: What the finding shows: evaluation, its task, its divergence, and the arm without anything learned.
_FINDING = {
    "classification": ("classification", "kl", "machine"),
    "other_family": ("picture search", "distance", "machine"),
    "detection": ("detection", "kl", "half"),
}


def interval(row: dict[str, Any], unit: str = "%") -> str:
    """A BD-rate, or a difference of two, with its interval; a line may break before that alone."""
    joined = "\N{NO-BREAK SPACE}"
    return f"{row['bd_rate']:+.1f}{joined}{unit} [{row['low']:+.1f},{joined}{row['high']:+.1f}]"


def judge(network: str) -> str:
    """A network's name for a reader."""
    return _JUDGES.get(network, network)


def against_bpg(task: str, *, shared: str | None = None) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The comparisons with BPG as bpgenc writes it, by network, arm and quality.

    Of single files, or of those whose bits are shared over the set by ``shared``.
    """
    found = load(f"recipes_{task}/summary")
    rows = found["shared"]["comparisons"] if shared else found["comparisons"]
    suffix = f" shared by {shared}" if shared else ""
    return {
        (row["network"], row["arm"].removesuffix(suffix), row["quality"]): row
        for row in rows
        if row["against"] == found["anchor"] and row["arm"].endswith(suffix)
    }


def _networks(task: str, *, seen: bool | None = None) -> list[str]:
    networks = load(f"recipes_{task}/summary")["networks"]
    return [each["label"] for each in networks if seen is None or each["seen"] is seen]


def finding() -> str:
    """What networks that took no part save: without anything learned, with the recipe, with shared bits."""
    rows = []
    for evaluation, (task, quality, plain) in _FINDING.items():
        single = against_bpg(evaluation)
        shared = against_bpg(_SHARED_IN.get(evaluation, evaluation), shared="sensitivity")
        for network in _networks(evaluation, seen=False):
            cells = [single[network, plain, quality], single[network, "recipe", quality]]
            cells.append(shared[network, "recipe", quality])
            rows.append([task, judge(network), *map(interval, cells)])
    head = ["task", "network", "nothing learned", "the recipe", "bits shared over the set"]
    return table(head, rows, text_columns=2)


def _rows(task: str, qualities: tuple[str, ...], networks: list[str]) -> str:
    """A row a network and arm; what is restored, and the arm ``map``, stand in tables of their own."""
    cells = against_bpg(task)
    lines = []
    for network in networks:
        for arm in (arm for arm in _ARMS if (network, arm, qualities[0]) in cells):
            found = [cells[network, arm, quality] for quality in qualities]
            lines.append([judge(network), _ARMS[arm], *_cells(found)])
    head = ["network", "coded with", *(_QUALITIES[quality] for quality in qualities), "overlap"]
    return table(head, lines, text_columns=2)


def _cells(found: list[dict[str, Any]]) -> list[str]:
    """The intervals of some qualities, and how much of the curves of the first overlaps."""
    return [*map(interval, found), f"{100 * found[0]['overlap']:.0f} %"]


def rows(task: str, qualities: tuple[str, ...], *, seen: bool) -> Callable[[], str]:
    """What the report calls for the single files of a task, as networks of one kind see them."""
    return lambda: _rows(task, qualities, _networks(task, seen=seen))


def _by_divergence(arms: dict[str, str], *evaluations: str) -> str:
    """What arms save at equal divergence: a row a network, those that took no part first."""
    lines = []
    for task in evaluations:
        cells = against_bpg(task)
        for network in _networks(task):
            qualities = (quality for each, _, quality in cells if each == network)
            divergence = next(one for one in qualities if one in ("kl", "distance"))
            found = [cells[network, arm, divergence] for arm in arms]
            name = judge(network) + (", unseen" if network in _networks(task, seen=False) else "")
            lines.append([name, *map(interval, found), f"{100 * found[-1]['overlap']:.0f} %"])
    lines.sort(key=lambda line: "unseen" not in line[0])
    return table(["network", *arms.values(), "overlap of the last"], lines)


def _shared_rows(task: str, qualities: tuple[str, ...]) -> str:
    """The recipe's rows with sharing, unseen networks first: by sizes, and what is known beside them.

    Networks that are only there to say which pictures lose more do not have these qualities.
    """
    seen, unseen = _networks(task, seen=True), _networks(task, seen=False)
    cells = {
        said.format(judge=judge(next(iter(seen), ""))): against_bpg(task, shared=sharing)
        for sharing, said in _SHARING.items()
    }
    lines = []
    for network in [*unseen, *seen]:
        name = judge(network) + (", unseen" if network in unseen else "")
        for said, rows_of in cells.items():
            if (network, "recipe", qualities[0]) in rows_of:
                found = [rows_of[network, "recipe", quality] for quality in qualities]
                lines.append([name, said, *_cells(found)])
    head = ["network", "shared by", *(_QUALITIES[quality] for quality in qualities), "overlap"]
    return table(head, lines, text_columns=2)


def shared_rows(task: str, qualities: tuple[str, ...]) -> Callable[[], str]:
    """What the report calls for files whose bits are shared over the set."""
    return lambda: _shared_rows(_SHARED_IN.get(task, task), qualities)


def refined(task: str) -> str:
    """What searching with some of the networks at the encoder saves, by network and what is searched."""
    found = load(f"refine_{task}/summary")
    lines = []
    for network in found["networks"]:
        name = judge(network["label"]) + (", at the encoder" if network["seen"] else ", unseen")
        for arm, said in _REFINED.items():
            for row in found["comparisons"]:
                place = row["network"], row["arm"], row["against"], row["quality"]
                if place == (network["label"], arm, found["anchor"], "kl"):
                    lines.append([name, said, interval(row), f"{100 * row['overlap']:.0f} %"])
    return table(["network", "coded with", "at equal divergence", "overlap"], lines, text_columns=2)


def parts(task: str, quality: str = "kl") -> dict[str, dict[str, dict[str, Any]]]:
    """By network: what the settings save, and by how many points the map and the filter add to that."""
    saved = against_bpg(task)
    found = load(f"recipes_{task}/summary")["differences"]
    added = {(row["network"], row["first"], row["second"]): row for row in found if row["quality"] == quality}
    return {
        network: {
            "settings": saved[network, "machine", quality],
            "map": added[network, "map", "machine"],
            "filter": added[network, "recipe", "map"],
            "recipe": saved[network, "recipe", quality],
        }
        for network in _networks(task)
    }


def part_rows() -> str:
    """What each part of the recipe for classifiers saves."""
    lines = []
    for network, part in (parts("classification") | parts("other_family", "distance")).items():
        points = [interval(part[name], "points") for name in ("map", "filter")]
        lines.append([judge(network), interval(part["settings"]), *points, interval(part["recipe"])])
    return table(["network", "settings", "the map adds", "the filter adds", "together"], lines)


def _arm_rows(name: str, lacks: str) -> str:
    """What arms save on top of the arm ``codec``, which lacks what they have: a row a judge."""
    found = load(f"{name}/summary")
    lines, arms = [], []
    for network in found["networks"]:
        cells = {
            row["arm"]: interval(row)
            for row in found["comparisons"]
            if (row["network"], row["against"], row["quality"]) == (network["label"], "codec", "kl")
            and row["arm"] not in ("bpg", "own size")
        }
        arms = list(cells)
        lines.append([judge(network["label"]) + ("" if network["seen"] else ", unseen"), *cells.values()])
    qps = ", ".join(map(str, found["qps"]))
    said = f"{found['photos']} photos, qp {qps}, bits at equal divergence against the same codec {lacks}."
    return "\n".join([said, "", table(["network", *arms], lines)])


def choices(group: str) -> str:
    """What was tried while the settings of recipes were chosen."""
    rows = load("choices")["groups"][group]
    lines = []
    for row in rows:
        found = row["bd_rate"].values()
        cells = [interval({**one, "bd_rate": one["value"]}) for one in found]
        lines.append([row["coded_with"], *cells])
    return table(["coded with", *rows[0]["bd_rate"]], lines)


def belief() -> str:
    """Points that sharing by predictions saves beyond sizes alone, by how far they are believed."""
    rows = load("choices")["belief"]
    lines = [[f"{row['power']:g}", f"{row['classifiers']:+.1f}", f"{row['detectors']:+.1f}"] for row in rows]
    return table(["power", "classifiers", "detectors"], lines)


_MAPS = (
    "maps_classification",
    "maps_detection",
    "maps_detection_own_size",
    "maps_other_photos",
    "maps_learned_photos",
    "allocators_classification",
    "allocators_detection",
)
SECTIONS: dict[str, Callable[[], str]] = {
    "finding": finding,
    "restored": lambda: _by_divergence(_BEHIND, "classification", "other_family"),
    "restored_other_photos": lambda: _by_divergence(_BEHIND, "other_photos"),
    "bsds": lambda: _by_divergence(_IN_FRONT, "bsds"),
    "classification_unseen": rows("classification", ("kl", "agreement"), seen=False),
    "classification_seen": rows("classification", ("kl", "agreement"), seen=True),
    "other_family": rows("other_family", ("distance",), seen=False),
    "other_family_shared": shared_rows("other_family", ("distance",)),
    "classification_shared": shared_rows("classification", ("kl", "agreement")),
    "detection_unseen": rows("detection", ("kl", "f1", "ap"), seen=False),
    "detection_seen": rows("detection", ("kl", "f1", "ap"), seen=True),
    "detection_shared": shared_rows("detection", ("kl", "f1")),
    "reading_seen": rows("reading", ("kl", "ctc", "exact_match"), seen=True),
    "reading_shared": shared_rows("reading", ("kl", "ctc", "exact_match")),
    "segmentation_seen": rows("segmentation", ("kl", "agreement", "true_miou"), seen=True),
    **{f"refine_{task}": (lambda task=task: refined(task)) for task in ("classification", "detection")},
    "parts": part_rows,
    **{f"choices_{group}": (lambda group=group: choices(group)) for group in load("choices")["groups"]},
    "choices_belief": belief,
    **{name: (lambda name=name: _arm_rows(name, "without a map")) for name in _MAPS},
    "recipes_filter_seeds": lambda: _arm_rows("recipes_filter_seeds", "and map without a filter"),
}
