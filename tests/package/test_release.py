"""How releases are made: versions from tags, sources by checksum, and files that must not drift apart."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import subprocess
import sys
import tarfile
from importlib.metadata import requires
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
PACKAGING = ROOT / "packaging"

# Prints the version that a build of a source tree gets; the build tools are those of this environment.
_VERSION = """
import json, sys
from scikit_build_core.build import prepare_metadata_for_build_wheel
from pathlib import Path
folder = prepare_metadata_for_build_wheel(sys.argv[1])
text = Path(sys.argv[1], folder, "METADATA").read_text(encoding="utf-8")
print(next(line[9:] for line in text.splitlines() if line.startswith("Version: ")))
"""


def _git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    subprocess.run(["git", *identity, "-C", str(folder), *arguments], check=True, capture_output=True)


def _version(source: Path, work: Path) -> str:
    command = [sys.executable, "-W", "ignore", "-c", _VERSION, str(work)]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout.split()[-1]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A source tree with what its metadata are made of, not a repository."""
    pytest.importorskip("scikit_build_core")
    pytest.importorskip("setuptools_scm")
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("pyproject.toml", "README.md", "LICENSE", "THIRD_PARTY.md", ".git_archival.txt"):
        shutil.copy(ROOT / name, folder)
    apache = Path("python/npp/allocation/weights/Apache-2.0.txt")
    (folder / apache).parent.mkdir(parents=True)
    shutil.copy(ROOT / apache, folder / apache)
    return folder


def test_version_without_git_is_the_fallback(source: Path, tmp_path: Path) -> None:
    assert _version(source, tmp_path) == "0.1.0.dev0"


def test_version_of_clones(source: Path, tmp_path: Path) -> None:
    """Without tags, shallow, at a tag and after it."""
    if shutil.which("git") is None:
        pytest.skip("git is absent")
    _git(source, "init", "-q")
    _git(source, "add", ".")
    _git(source, "commit", "-qm", "one")
    assert re.fullmatch(r"0\.1(\.0)?\.dev\d+\+g\w+", _version(source, tmp_path))
    _git(source, "commit", "-qm", "two", "--allow-empty")
    shallow = tmp_path / "shallow"
    subprocess.run(["git", "clone", "-q", "--depth=1", source.as_uri(), str(shallow)], check=True)
    assert re.fullmatch(r"0\.1(\.0)?\.dev\d+\+g\w+", _version(shallow, tmp_path))
    _git(source, "tag", "v0.3.0")
    assert _version(source, tmp_path) == "0.3.0"
    _git(source, "commit", "-qm", "three", "--allow-empty")
    assert re.fullmatch(r"0\.3\.1\.dev1\+g\w+", _version(source, tmp_path))


def _packaging(script: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """A piece of Python among the scripts of packaging/."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    path = {"PYTHONPATH": str(PACKAGING), "PATH": "/nonexistent"}
    return subprocess.run(command, env=path, capture_output=True, text=True, check=False)


_FETCH = """
import sys
from pathlib import Path
from codec_sources import Source, fetch, unpack
source = Source("1", "a.tar.gz", sys.argv[2], "none", "file:///nonexistent/a.tar.gz", "GPL-2.0-or-later", [])
print(unpack(fetch(source, Path(sys.argv[1])), Path(sys.argv[1]) / "out").name)
"""


def test_sources_count_with_the_right_checksum_only(tmp_path: Path) -> None:
    (tmp_path / "a-1").mkdir()
    archive = tmp_path / "a.tar.gz"
    with tarfile.open(archive, "w:gz") as out:
        out.add(tmp_path / "a-1", "a-1")
    right = hashlib.sha256(archive.read_bytes()).hexdigest()
    assert _packaging(_FETCH, tmp_path, right).stdout == "a-1\n"
    wrong = _packaging(_FETCH, tmp_path, "0" * 64)
    assert "does not have the checksum 000" in wrong.stderr
    archive.unlink()
    missing = _packaging(_FETCH, tmp_path, right)
    assert "a.tar.gz was not found" in missing.stderr and "put it into" in missing.stderr


_LINES = "from codec_sources import _deb_src_lines as lines; print(*lines(), sep=chr(10))"


@pytest.mark.parametrize(
    ("told", "line"),
    [
        ("$(SIGNED_BY)", "deb-src http://debian.test/debian/ bookworm main"),  # as Debian 12's apt leaves it
        ("", "deb-src http://debian.test/debian/ bookworm main"),
        ("/a/key.gpg", "deb-src [signed-by=/a/key.gpg] http://debian.test/debian/ bookworm main"),
    ],
)
def test_places_of_sources_are_those_of_packages(tmp_path: Path, told: str, line: str) -> None:
    apt = tmp_path / "apt-get"
    apt.write_text(f"#!/bin/sh\necho 'http://debian.test/debian/ bookworm {told}'\n")
    apt.chmod(0o755)
    done = subprocess.run(
        [sys.executable, "-c", _LINES],
        env={"PYTHONPATH": str(PACKAGING), "PATH": f"{tmp_path}:/bin:/usr/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == line + "\n"


def test_sources_are_named_in_full() -> None:
    sources = json.loads((PACKAGING / "sources.json").read_text(encoding="utf-8"))
    assert set(sources) == {"x265", "ffmpeg"}
    for source in sources.values():
        assert re.fullmatch(r"[0-9a-f]{64}", source["sha256"])
        assert source["version"] in source["url"] and source["version"] in source["file"]
        assert source["licence"] in (ROOT / "THIRD_PARTY.md").read_text(encoding="utf-8")


def _yaml(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def test_workflow_is_off_until_it_is_switched_on() -> None:
    jobs = _yaml(ROOT / ".github" / "workflows" / "release.yml")["jobs"]
    assert {"test", "pythons", "wheels", "sdist", "publish", "docs"} == set(jobs)
    assert all("vars.NPP_" in job["if"] for job in jobs.values())
    assert "vars.NPP_PUBLISH == 'true'" in jobs["publish"]["if"] and "refs/tags/v" in jobs["publish"]["if"]


def test_workflow_shows_the_site_that_make_docs_builds() -> None:
    steps = _yaml(ROOT / ".github" / "workflows" / "release.yml")["jobs"]["docs"]["steps"]
    commands = [step["run"] for step in steps if "run" in step]
    assert commands == ["make docs"]
    (shown,) = (step for step in steps if step.get("uses", "").startswith("actions/upload-pages-artifact"))
    recipe = (ROOT / "Makefile").read_text(encoding="utf-8").partition("\ndocs: ")[2].partition("\n\n")[0]
    assert f" html docs {shown['with']['path']}\n" in recipe


def test_conda_recipe_asks_for_what_npp_does() -> None:
    recipe = _yaml(PACKAGING / "conda" / "recipe.yaml")
    ours = {text.replace("torch>", "pytorch>") for text in requires("npp") or () if ";" not in text}
    theirs = {text.replace(" ", "") for text in recipe["requirements"]["run"]} - {"python"}
    assert theirs == ours


def test_citation_names_the_paper() -> None:
    paper = _yaml(ROOT / "CITATION.cff")["preferred-citation"]
    assert paper["title"] == "Preprocessing Enhanced Image Compression for Machine Vision"
    assert paper["year"] == 2024 and "Circuits and Systems for Video Technology" in paper["journal"]
