"""Write resources/genes.tsv: Ensembl IDs, symbols, synonyms and chromosome arms of GRCh38.

Source: npm package `ideogram` 1.53.0 (CC0-1.0), which carries Ensembl 110 genes and UCSC
cytobands. Fetch and unpack it with `npm pack ideogram@1.53.0 && tar xzf ideogram-*.tgz`, then
run `python resources/make/genes.py package`.
"""

import csv
import gzip
import json
import sys
from pathlib import Path

CACHE = "dist/data/cache"
BANDS = "dist/data/bands/native/homo-sapiens-400.json"
CHROMOSOMES = [*map(str, range(1, 23)), "X", "Y", "MT"]


def centromeres(path: Path) -> dict[str, int]:
    """Return the last base of each chromosome's short arm."""
    ends: dict[str, int] = {}
    for band in json.loads(path.read_text())["chrBands"]:
        chromosome, arm, _, _, _, _, end, *_ = band.split(" ")
        if arm == "p":
            ends[chromosome] = max(ends.get(chromosome, 0), int(end))
    return ends


def rows_of(path: Path) -> list[list[str]]:
    """Return the fields of every line that is not a comment."""
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [line.rstrip("\n").split("\t") for line in lines if not line.startswith("#")]


def main(package: Path) -> None:
    """Join genes, synonyms and arms, in genome order."""
    short_arm_ends = centromeres(package / BANDS)
    genes = rows_of(package / CACHE / "genes/homo-sapiens-genes.tsv.gz")
    synonyms = {
        row[0]: ";".join(row[1:])
        for row in rows_of(package / CACHE / "synonyms/homo-sapiens-synonyms.tsv.gz")
    }
    table = []
    for chromosome, start, length, slim_id, symbol, *_ in genes:
        if chromosome not in CHROMOSOMES:
            continue
        first, last = int(start), int(start) + int(length) - 1
        arm = ""
        if chromosome in short_arm_ends:
            arm = chromosome + ("p" if last <= short_arm_ends[chromosome] else "q")
        gene_id = "ENSG" + slim_id.zfill(11)
        table.append([gene_id, symbol, chromosome, first, last, arm, synonyms.get(symbol, "")])
    table.sort(key=lambda row: (CHROMOSOMES.index(row[2]), row[3], row[0]))
    with open(Path(__file__).parents[1] / "genes.tsv", "w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, delimiter="\t", lineterminator="\n")
        writer.writerow(["gene_id", "symbol", "chromosome", "start", "end", "arm", "synonyms"])
        writer.writerows(table)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
