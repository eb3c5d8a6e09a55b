"""Tables of docs/results.md and of the pages behind it: what `npp evaluate` wrote of recipes and maps."""

from __future__ import annotations

from collections.abc import Callable, Iterable
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
_REFINED = {
    "recipe": "the recipe, nothing searched",
    "gradients": "the settings and the map of its gradients",
    "map": "the recipe's map, searched on",
    "pixels": "the recipe's map, the pixels searched",
    "both": "map and pixels searched",
}
_JUDGES = {
    "efficientnet-lite0": "EfficientNet-Lite0",
    "efficientnet-lite2": "EfficientNet-Lite2",
    "rapidocr": "PP-OCR",
}
_QUALITIES = {
    "kl": "at equal divergence",
    "agreement": "at equal agreement",
    "f1": "at equal F1",
    "true_miou": "at equal mIoU",
    "ap": "at equal AP",
    "ctc": "at equal CTC loss",
    "exact_match": "at equal exact match",
}
#: What a recipe's task gives without anything that was learned.
_PLAIN = {"classification": "machine", "detection": "half", "reading": "machine"}


def interval(row: dict[str, Any], unit: str = " %") -> str:
    """A BD-rate, or a difference of two, with its interval."""
    return f"{row['bd_rate']:+.1f}{unit} [{row['low']:+.1f}, {row['high']:+.1f}]"


def judge(network: str) -> str:
    """A network's name for a reader."""
    return _JUDGES.get(network, network)


def against_bpg(task: str, *, shared: bool = False) -> dict[tuple[str, str, str], dict[str, Any]]:
    """The comparisons with BPG as bpgenc writes it, by network, arm and quality."""
    found = load(f"recipes_{task}/summary")
    rows = found["shared"]["comparisons"] if shared else found["comparisons"]
    return {
        (row["network"], row["arm"].removesuffix(" shared by rates"), row["quality"]): row
        for row in rows
        if row["against"] == found["anchor"]
    }


def _networks(task: str, *, seen: bool | None = None) -> list[str]:
    networks = load(f"recipes_{task}/summary")["networks"]
    return [each["label"] for each in networks if seen is None or each["seen"] is seen]


def finding() -> str:
    """What networks that took no part save: without anything learned, with the recipe, with shared bits."""
    rows = []
    for task in ("classification", "detection"):
        single, shared = against_bpg(task), against_bpg(task, shared=True)
        for network in _networks(task, seen=False):
            cells = [single[network, _PLAIN[task], "kl"], single[network, "recipe", "kl"]]
            cells.append(shared[network, "recipe", "kl"])
            rows.append([task, judge(network), *map(interval, cells)])
    head = ["task", "network", "nothing learned", "the recipe", "bits shared over the set"]
    return table(head, rows, text_columns=2)


def _rows(task: str, qualities: Iterable[str], networks: list[str], *, shared: bool) -> str:
    """A row a network and arm; the arm ``map`` stands in the table of parts alone."""
    cells = against_bpg(task, shared=shared)
    unseen = _networks(task, seen=False) if shared else []
    rows = []
    for network in networks:
        for arm in dict.fromkeys(arm for _, arm, _ in cells if arm != "map"):
            found = [cells[network, arm, quality] for quality in qualities]
            name = judge(network) + (", unseen" if network in unseen else "")
            line = [name, _ARMS[arm], *map(interval, found)]
            rows.append([*line, f"{100 * found[0]['overlap']:.0f} %"])
    head = ["network", "coded with", *(_QUALITIES[quality] for quality in qualities), "overlap"]
    return table(head, rows, text_columns=2)


def rows(task: str, qualities: tuple[str, ...], *, seen: bool) -> Callable[[], str]:
    """What the report calls for the single files of a task, as networks of one kind see them."""
    return lambda: _rows(task, qualities, _networks(task, seen=seen), shared=False)


def shared_rows(task: str, qualities: tuple[str, ...]) -> Callable[[], str]:
    """The same for files whose bits are shared over the set, unseen networks first."""
    return lambda: _rows(
        task, qualities, _networks(task, seen=False) + _networks(task, seen=True), shared=True
    )


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


def parts(task: str) -> dict[str, dict[str, dict[str, Any]]]:
    """By network: what the settings save, and by how many points the map and the filter add to that."""
    saved = against_bpg(task)
    found = load(f"recipes_{task}/summary")["differences"]
    added = {(row["network"], row["first"], row["second"]): row for row in found if row["quality"] == "kl"}
    return {
        network: {
            "settings": saved[network, "machine", "kl"],
            "map": added[network, "map", "machine"],
            "filter": added[network, "recipe", "map"],
            "recipe": saved[network, "recipe", "kl"],
        }
        for network in _networks(task)
    }


def part_rows() -> str:
    """What each part of the recipe for classifiers saves."""
    lines = []
    for network, part in parts("classification").items():
        points = [interval(part[name], " points") for name in ("map", "filter")]
        lines.append([judge(network), interval(part["settings"]), *points, interval(part["recipe"])])
    return table(["network", "settings", "the map adds", "the filter adds", "together"], lines)


def _map_rows(name: str) -> str:
    """What maps save on top of the arm ``codec``: a row a judge, a column for where the map comes from."""
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
    said = (
        f"{found['photos']} photos, qp {qps}, bits at equal divergence against the same codec without a map."
    )
    return "\n".join([said, "", table(["network", *arms], lines)])


def choices(group: str) -> str:
    """What was tried while the settings of recipes were chosen."""
    rows = load("choices")["groups"][group]
    lines = []
    for row in rows:
        found = row["bd_rate"].values()
        cells = [f"{one['value']:+.1f} % [{one['low']:+.1f}, {one['high']:+.1f}]" for one in found]
        lines.append([row["coded_with"], *cells])
    return table(["coded with", *rows[0]["bd_rate"]], lines)


_MAPS = ("maps_classification", "maps_detection", "maps_detection_own_size")
SECTIONS: dict[str, Callable[[], str]] = {
    "finding": finding,
    "classification_unseen": rows("classification", ("kl", "agreement"), seen=False),
    "classification_seen": rows("classification", ("kl", "agreement"), seen=True),
    "classification_shared": shared_rows("classification", ("kl", "agreement")),
    "detection_unseen": rows("detection", ("kl", "f1", "ap"), seen=False),
    "detection_seen": rows("detection", ("kl", "f1", "ap"), seen=True),
    "detection_shared": shared_rows("detection", ("kl", "f1")),
    "reading_seen": rows("reading", ("kl", "ctc", "exact_match"), seen=True),
    "segmentation_seen": rows("segmentation", ("kl", "agreement", "true_miou"), seen=True),
    **{f"refine_{task}": (lambda task=task: refined(task)) for task in ("classification", "detection")},
    "parts": part_rows,
    **{f"choices_{group}": (lambda group=group: choices(group)) for group in load("choices")["groups"]},
    **{name: (lambda name=name: _map_rows(name)) for name in _MAPS},
}
