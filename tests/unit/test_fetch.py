"""Public cohorts: from a server that misbehaves to a sheet; recipes on made files."""

import functools
import gzip
import hashlib
import io
import tarfile
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from relapsescope.errors import InputProblem
from relapsescope.intake.identity import likely_transgenes
from relapsescope.intake.sheet import parse_sheet
from relapsescope.public_cohorts.catalogue import (
    PublicFile,
    files_of,
    listing,
    read_catalogue,
)
from relapsescope.public_cohorts.download import LOCK, Retries, fetch_file, read_lock
from relapsescope.public_cohorts.recipes import prepare, read_recipe, unpack

CONTENT = bytes(range(256)) * 4000
CHECKSUM = hashlib.sha256(CONTENT).hexdigest()
QUICK = Retries(tries=4, wait_s=0.0)


class Misbehaving(BaseHTTPRequestHandler):
    """Serves CONTENT, by its path: whole, in broken pieces, elsewhere, spoilt, or not at all."""

    asked: list

    def __init__(self, asked, *rest):
        self.asked = asked
        super().__init__(*rest)

    def do_GET(self):
        start = int((self.headers["Range"] or "bytes=0-")[6:].rstrip("-"))
        self.asked.append((self.path, start))
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("Location", "/whole")
            self.end_headers()
            return
        if self.path == "/missing" or (self.path == "/busy" and len(self.asked) < 3):
            self.send_error(404 if self.path == "/missing" else 503)
            return
        content = b"x" + CONTENT[1:] if self.path == "/spoilt" else CONTENT
        ranged = start and self.path != "/no-ranges"
        body = content[start:] if ranged else content
        self.send_response(206 if ranged else 200)
        self.send_header("Content-Length", str(len(body) + 1000 * (self.path == "/lies")))
        self.end_headers()
        # A third of what is left, then the connection ends.
        breaks = self.path in ("/breaks", "/no-ranges") and len(self.asked) < 3
        self.wfile.write(body[: len(body) // 3] if breaks else body)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def server():
    """Return the server's address and what it was asked."""
    asked = []
    running = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Misbehaving, asked))
    thread = threading.Thread(target=running.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{running.server_port}", asked
    running.shutdown()
    running.server_close()
    thread.join()


SIZE = len(CONTENT)


def public_file(*urls, sha256=CHECKSUM, n_bytes=SIZE):
    return PublicFile("X1", "paper", "x.bin", urls, n_bytes, sha256, "none", False, "made")


@pytest.mark.parametrize("place", ["whole", "breaks", "no-ranges", "moved", "busy"])
def test_a_file_comes_whole_whatever_the_server_does(server, tmp_path, place):
    url, asked = server
    path = fetch_file(public_file(f"{url}/{place}"), tmp_path, retries=QUICK)
    assert path.read_bytes() == CONTENT
    assert read_lock(tmp_path)["x.bin"]["sha256"] == CHECKSUM
    if place == "breaks":
        first, second, third = [start for _, start in asked]
        assert 0 == first < second < third
    n = len(asked)
    fetch_file(public_file(f"{url}/{place}"), tmp_path, retries=QUICK)
    assert len(asked) == n


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ("missing", "404"),
        ("lies", "bytes"),
        ("spoilt", "another checksum"),
        ("whole", "2 are known"),
    ],
)
def test_what_cannot_be_had_or_is_something_else_is_said(server, tmp_path, place, said):
    url, _ = server
    sizes = {"whole": 2}
    one = public_file(f"{url}/{place}", n_bytes=sizes.get(place, len(CONTENT)))
    with pytest.raises(InputProblem, match=said) as found:
        fetch_file(one, tmp_path, retries=QUICK)
    assert len(found.value.problems) == 1
    assert "--offline" in found.value.problems[0]
    assert not (tmp_path / "x.bin").exists()


def test_a_mirror_is_asked_where_the_first_place_fails(server, tmp_path):
    url, _ = server
    one = public_file(f"{url}/missing", f"{url}/spoilt", f"{url}/whole")
    assert fetch_file(one, tmp_path, retries=QUICK).read_bytes() == CONTENT
    assert read_lock(tmp_path)["x.bin"]["url"] == f"{url}/whole"


def test_a_first_use_is_locked_and_another_content_is_refused_later(server, tmp_path):
    url, _ = server
    one = public_file(f"{url}/whole", sha256="", n_bytes=None)
    fetch_file(one, tmp_path / "a", retries=QUICK)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / LOCK).write_text((tmp_path / "a" / LOCK).read_text())
    changed = public_file(f"{url}/spoilt", sha256="", n_bytes=None)
    with pytest.raises(InputProblem, match="another checksum"):
        fetch_file(changed, tmp_path / "b", retries=QUICK)


def test_files_that_are_there_need_no_network(tmp_path):
    there = tmp_path / "there"
    there.mkdir()
    (there / "x.bin").write_bytes(CONTENT)
    one = public_file("http://127.0.0.1:9/x.bin")
    assert fetch_file(one, tmp_path / "new", offline=there).read_bytes() == CONTENT
    (there / "x.bin").write_bytes(CONTENT[:-1] + b"?")
    with pytest.raises(InputProblem, match="its checksum is not the known one"):
        fetch_file(one, tmp_path / "other", offline=there)
    with pytest.raises(InputProblem, match="there is no such file"):
        fetch_file(one, tmp_path / "other", offline=tmp_path / "nowhere")


def test_the_catalogue_says_what_is_known_and_how_surely():
    catalogue = read_catalogue()
    assert {one.accession for one in catalogue} >= {
        *("GSE164551", "GSE143317", "GSE226335", "GSE210079", "GSE223060", "GSE234261"),
        *("GSE151310", "HCA_marrow", "CARPALL"),
    }
    for one in catalogue:
        assert read_recipe(one.accession)["pattern"]
        assert all(url.startswith("https://") for url in one.urls)
        assert one.paper
        assert one.licence
        assert one.known
        assert not one.sha256 or len(one.sha256) == 64
    text = listing(files_of("gse210079", catalogue))
    assert "size unknown\tunverified" in text
    with pytest.raises(InputProblem, match="did you mean GSE164551"):
        files_of("GSE16455", catalogue)


def archive(path, files):
    """Write a tar archive of these files."""
    with tarfile.open(path, "w") as made:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return path


def nested(files):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as inner:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            inner.addfile(member, io.BytesIO(content))
    return made.getvalue()


TRIPLE = ("matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz")
# Files in the layout that is documented of each deposit, and the sheet's cells that must come out.
LAYOUTS = {
    "GSE164551": (
        {f"GSM50138{n}_S{n - 20}_filtered_feature_bc_matrix.h5": b"h5" for n in (24, 25, 26)},
        [
            ("GSM5013824_S4", "GSE164551_P1", "", "24_S4_filtered"),
            ("GSM5013825_S5", "GSE164551_P1", "", "26_S6_filtered"),
            ("GSM5013826_S6", "GSE164551_P1", "", "25_S5_filtered"),
        ],
    ),
    "GSE143317": (
        {
            "GSM4256263_Pre_filtered_feature_bc_matrix.tar.gz": nested(
                {f"filtered_feature_bc_matrix/{name}": b"x" for name in TRIPLE}
            )
        },
        [("GSM4256263_Pre", "GSE143317_P1", "", "Pre_filtered_feature_bc_matrix")],
    ),
    "GSE210079": (
        {
            "GSM1_A_raw_feature_bc_matrix.h5": b"h5",
            "GSM2_B_filtered_feature_bc_matrix.h5": b"h5",
        },
        [("GSM1_A", "", "", "A_raw"), ("GSM2_B", "", "", "B_filtered")],
    ),
    "GSE223060": (
        {f"GSM1_MMY1_{n}": b"x" for n in ("counts.mtx.gz", "genes.tsv.gz", "barcodes.tsv.gz")},
        [("GSM1_MMY1", "MMY1", "", "GSM1_MMY1")],
    ),
    "GSE234261": (
        {f"GSM{i}_0{i}_{site}_{n}": b"x" for i, site in ((1, "PB"), (2, "BM")) for n in TRIPLE},
        [("GSM1_01_PB", "", "", "GSM1_01_PB"), ("GSM2_02_BM", "", "", "GSM2_02_BM")],
    ),
}


@pytest.mark.parametrize("accession", LAYOUTS)
def test_a_deposit_becomes_a_sheet(tmp_path, accession):
    files, wanted = LAYOUTS[accession]
    made = archive(tmp_path / f"{accession}_RAW.tar", files)
    assert prepare(accession, tmp_path, [made]) == len(wanted)
    lines = (tmp_path / "samples.tsv").read_text().splitlines()
    header, *rows = [line.split("\t") for line in lines]
    for cells, (sample, patient, timepoint, counts) in zip(rows, wanted, strict=True):
        row = dict(zip(header, cells, strict=True))
        assert (row["sample_id"], row["patient_id"], row["timepoint"]) == (
            sample,
            patient,
            timepoint,
        )
        assert counts in (row["matrix"] or row["raw_matrix"])
        assert (tmp_path / (row["matrix"] or row["raw_matrix"])).exists()
        assert ("raw_feature" in counts) == bool(row["raw_matrix"] and "filtered" in counts)
    assert accession in (tmp_path / "ABOUT.md").read_text()
    # What the deposit does not say is asked for, a line each.
    _, table = parse_sheet(tmp_path / "samples.tsv")
    assert any("timepoint: the cell is empty" in line for line in table.problems)


def test_the_three_stages_of_a_product_need_nothing_more(tmp_path):
    for stage in ("IP", "PP", "RP"):
        path = tmp_path / f"GSE151310_CART_{stage}.UMI_matrix.csv.gz"
        path.write_bytes(gzip.compress(b"x"))
    assert prepare("GSE151310", tmp_path, list(tmp_path.iterdir())) == 3
    libraries, table = parse_sheet(tmp_path / "samples.tsv")
    assert table.problems == []
    assert [one.timepoint for one in libraries] == ["infusion_product", "expansion", "remission"]


@pytest.mark.parametrize("name", ["../out.h5", "/tmp/out.h5"])
def test_an_archive_writes_nowhere_else(tmp_path, name):
    made = archive(tmp_path / "x.tar", {name: b"x"})
    inside = tmp_path / "inside"
    if name.startswith(".."):
        with pytest.raises(InputProblem, match="cannot be unpacked"):
            unpack(made, inside)
    else:
        unpack(made, inside)
        assert (inside / "tmp/out.h5").exists()
    assert not (tmp_path / "out.h5").exists()
    assert not Path("/tmp/out.h5").exists()


def test_an_archive_without_what_the_recipe_describes_is_said(tmp_path):
    made = archive(tmp_path / "GSE164551_RAW.tar", {"readme.txt": b"x"})
    with pytest.raises(InputProblem, match="none of its files is what the recipe describes"):
        prepare("GSE164551", tmp_path, [made])


# Names of CAR features in public references and code (docs/public_cohorts.md).
CARS = (
    *("ciltacel", "idecel", "ciltacel-mined", "CAR-BCMA", "CAT_scFv", "anitocel", "anito-cel"),
    *("ddBCMA", "arlocel", "arlo-cel", "CT103A", "CARTBCMA", "ARI0002h", "MCARH109", "obecel"),
    *(
        "obe-cel",
        "FMC63",
        "EGFRt",
        "tEGFR",
        "CARGPRC5D",
        "BCMA_CAR",
        "GRCh38-BCMA_CAR",
        "LCAR-B38M",
    ),
    *(
        "bb2121",
        "zevor-cel",
        "zevorcel",
        "eque-cel",
        "WPRE",
        "tisagenlecleucel",
        "huEGFRt",
        "CART19",
    ),
)
GENES = (
    *("CARD11", "CARS1", "CARM1", "CARTPT", "EGFR", "CARHSP1", "TNFRSF17", "CARMIL2", "ARID1A"),
    *("CD19", "BCAR1", "NCAR1", "ICAR", "CARD8", "CARNS1", "SCARB1"),
)


def test_cars_are_told_from_genes_by_name():
    assert likely_transgenes(CARS) == list(CARS)
    assert likely_transgenes(GENES) == []
