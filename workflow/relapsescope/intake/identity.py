"""Which human gene a feature is: Ensembl IDs first, symbols as a fallback with a report."""

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import numpy as np

from relapsescope.intake.counts import (
    GENE_EXPRESSION,
    TRANSGENE,
    Counts,
    FeatureBlock,
    FileMatrix,
    merge_columns,
    refuse,
    select_columns,
)
from relapsescope.intake.feature_types import (
    ANTIBODIES,
    HASHTAGS,
    UNTYPED,
    WRITTEN_AS_HASHTAG,
    antibody_panel,
    canonical_type,
    may_be_antibody,
    resolve_types,
)
from relapsescope.intake.genes import gene_table
from relapsescope.intake.unlikely_rna import refuse_antibodies

# An Ensembl ID as references write it: GRCh38_ENSG00000000003.15, ENSG00000182378.15_PAR_Y.
HUMAN_ID = re.compile(r"(?:[\w.+-]*?[_-])?(ENSG\d{11})(?:\.\d+)?(?:[_-]PAR[_-]Y)?")
SPIKE_IN = "Spike-in"
SPIKE_IN_ID = re.compile(r"ERCC-\d{5}$")
OTHER_SPECIES_ID = re.compile(r"(?:[\w.+-]*?[_-])?(ENS[A-Z]{3,4}G\d{11})(?:\.\d+)?")
# What references of two species put before symbols; Seurat turns its underscore into a dash.
HUMAN_PREFIX = re.compile(r"(?i)(?:grch3[78]|hg19|hg38|human)[_-]+")
OTHER_PREFIX = re.compile(r"(?i)(?:mm9|mm10|mm39|grcm3[89]|mouse|rat|rn[67])[_-]+")
# Texts that stand for a missing ID in joined tables.
NO_ID = ("", "nan", "NA", "None", "<NA>")

# Names under which public code and 10x references carry a CAR: products and their binders, the
# scFv, the woodchuck element of the vector, the truncated EGFR beside it. `CAR` only as a word, for
# CARD11 and CARS1 are genes.
LIKELY_CAR = re.compile(
    r"(?i)^(?:"
    r"(?:.*[_\-. ])?car(?:[_\-. ]?t)?(?:[_\-. ].*)?"
    r"|(?:anti[_\-. ]?)?(?:bcma|cd19|gprc5d)[_\-. ]?car.*"
    r"|car[_\-. ]?t?[_\-. ]?(?:bcma|cd19|19|gprc5d).*"
    r"|.*scfv.*|.*wpre.*|.*bb2121.*|.*(?:hu|t)egfrt?|egfrt.*|.*fmc63.*"
    r"|.*(?:ide|cilta|axi|tisa|eque|zevor|anito|arlo|obe|liso|brexu|relma)[_\-. ]?cel.*"
    r"|.*(?:idecabtagene|ciltacabtagene|tisagenlecleucel|lisocabtagene|brexucabtagene).*"
    r"|ddbcma.*|ct103a.*|ari0002h?.*|mcarh?\d+.*|lcar.*|abecma.*|carvykti.*|yescarta.*|kymriah.*"
    r"|fucaso.*|tecartus.*|breyanzi.*|aucatzyl.*"
    r")$"
)

# Below this share of Ensembl IDs a file is taken to name its genes by symbol.
ENSEMBL_SHARE = 0.5
# Below this share of known names a file does not hold human genes.
KNOWN_SHARE = 0.2


@lru_cache(maxsize=1)
def symbol_of_id() -> dict[str, str]:
    """Return the shipped gene table's symbol of each Ensembl ID."""
    table = gene_table()
    return dict(zip(table.gene_ids, table.symbols, strict=True))


@lru_cache(maxsize=1)
def ids_of_symbol() -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """Return the Ensembl IDs of each symbol, and of each synonym that is no symbol itself."""
    table = gene_table()
    symbols: dict[str, set[str]] = {}
    synonyms: dict[str, set[str]] = {}
    on_y = set(table.gene_ids[table.chromosomes == "Y"])
    for gene_id, symbol in zip(table.gene_ids, table.symbols, strict=True):
        symbols.setdefault(symbol, set()).add(gene_id)
    for gene_id, names in zip(table.gene_ids, table.synonyms, strict=True):
        for name in filter(None, names.split(";")):
            if name not in symbols:
                synonyms.setdefault(name, set()).add(gene_id)
    symbols.pop("", None)
    for found in symbols.values():
        # A gene of the pseudoautosomal regions (IL3RA, CD99) has an ID on X and one on Y;
        # references mask Y and count it on X.
        if len(found) > 1 and found - on_y:
            found -= on_y
    return symbols, synonyms


def symbol_meant(name: str, aliases: Mapping[str, str]) -> str:
    """Return the gene symbol that a person's word stands for, "" where it stands for none.

    Parameters
    ----------
    aliases
        Words in use that no gene table has, in capitals, e.g. BCMA for TNFRSF17.
    """
    symbols, synonyms = ids_of_symbol()
    if name in symbols:
        return name
    if name.upper() in aliases:
        return aliases[name.upper()]
    if len(synonyms.get(name, ())) != 1:
        return ""
    (gene_id,) = synonyms[name]
    return next((symbol for symbol, ids in symbols.items() if gene_id in ids), "")


def human_id(text: str) -> str:
    """Return the human Ensembl ID in `text` without version or genome prefix, "" if none."""
    if len(text) == 15 and text.startswith("ENSG") and text[4:].isdigit():
        return text
    match = HUMAN_ID.fullmatch(text)
    return match[1] if match else ""


def likely_transgenes(names) -> list[str]:
    """Return those names that look like a CAR transgene."""
    return [name for name in names if LIKELY_CAR.match(name)]


def match_symbols(names: list[str]) -> tuple[list[str], list[str], list[str]]:
    """Return the Ensembl ID of each name ("" if none), the ambiguous names and the unknown ones.

    A symbol of the table counts first, then a synonym that belongs to one gene alone and whose
    gene is not in `names` under its own symbol (two names of one gene would mean that one of
    them is not what it seems).
    """
    symbols, synonyms = ids_of_symbol()
    ids, ambiguous, unknown = [""] * len(names), [], []
    later: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        found = symbols.get(name) or synonyms.get(name)
        if not found:
            unknown.append(name)
        elif len(found) > 1:
            ambiguous.append(name)
        elif name in symbols:
            ids[place] = next(iter(found))
        else:
            later.setdefault(next(iter(found)), []).append(place)
    taken = set(ids)
    for gene_id, places in later.items():
        if gene_id in taken or len({names[place] for place in places}) > 1:
            ambiguous += [names[place] for place in places]
        else:
            for place in places:
                ids[place] = gene_id
    return ids, ambiguous, unknown


def identify_features(
    path: Path, ids: np.ndarray, names: np.ndarray, feature_types: np.ndarray
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return each feature's Ensembl ID ("" if none), its block ("" left out), and notes.

    Parameters
    ----------
    path
        The file, for messages.
    ids, names, feature_types
        (n_features,) str as the file has them.

    Returns
    -------
    gene_ids
        (n_features,) human Ensembl ID of the genes, "" for other features.
    block
        (n_features,) ``Gene Expression`` for genes, ``Transgene`` or the feature type for
        features kept apart, "" for those left out.
    notes
        One sentence for each thing left out or ambiguous.

    Raises
    ------
    InputProblem
        Where no human gene is found.
    """
    notes: list[str] = []
    own_ids = np.array([human_id(text) for text in ids], dtype=object)
    block = resolve_types(path, feature_types, names, own_ids)
    gene_ids = np.where(block == GENE_EXPRESSION, own_ids, "")
    expression = np.flatnonzero((block == GENE_EXPRESSION) | (block == UNTYPED))
    foreign = np.zeros(len(ids), bool)
    for i in expression:
        foreign[i] = not gene_ids[i] and _of_other_species(ids[i], names[i])
    n_human = int((gene_ids != "").sum())
    if foreign.any():
        example = ids[np.argmax(foreign)] or names[np.argmax(foreign)]
        if foreign[expression].all():
            refuse(
                path,
                f"no human genes: its Ensembl IDs are of another species (e.g. {example})",
                "give a library aligned to a human genome",
            )
        block[foreign] = ""
        notes.append(f"{foreign.sum()} genes of another species left out (e.g. {example})")
    rest = expression[(gene_ids[expression] == "") & ~foreign[expression]]
    by_id = n_human >= ENSEMBL_SHARE * (n_human + len(rest))
    if len(rest):
        apart = _antibodies_among(rest, ids, names, feature_types, block, by_id=by_id)
        if apart:
            notes.append(
                "features without a type that are named as antibodies are were kept apart from "
                f"the genes: {len(apart)} (e.g. {names[apart[0]] or ids[apart[0]]})"
            )
        rest = np.setdiff1d(rest, apart)
    if by_id:
        by_symbol = _genes_by_symbol(rest, ids, gene_ids)
        for i in np.setdiff1d(rest, by_symbol):
            block[i] = SPIKE_IN if SPIKE_IN_ID.match(ids[i]) else TRANSGENE
        rest = by_symbol
    if len(rest):
        notes += _name_by_symbol(path, rest, ids, names, gene_ids, block=block, alone=n_human == 0)
    block[(block == UNTYPED) & (gene_ids != "")] = GENE_EXPRESSION
    if not (gene_ids != "").any():
        refuse(path, "no human genes in it", "give a gene expression library with Ensembl IDs")
    return gene_ids, block, notes


def _of_other_species(feature_id: str, name: str) -> bool:
    """Return whether a feature is a gene of another species, by its ID or its prefix."""
    if OTHER_SPECIES_ID.fullmatch(feature_id):
        return True
    return OTHER_PREFIX.match(feature_id or name) is not None


def _antibodies_among(
    rest: np.ndarray,
    ids: np.ndarray,
    names: np.ndarray,
    feature_types: np.ndarray,
    block: np.ndarray,
    *,
    by_id: bool,
) -> list[int]:
    """Move antibodies and hashtags among features without an Ensembl ID to their blocks.

    Where the file sets antibodies apart itself, its word for RNA is believed. In a file of
    Ensembl IDs every feature without one that may be an antibody counts, in a file of symbols
    those that `antibody_panel` finds.
    """
    if {ANTIBODIES, HASHTAGS} & set(block.tolist()):
        rest = rest[block[rest] == UNTYPED]
    texts = [ids[i] if by_id and not names[i] else names[i] or ids[i] for i in rest]
    likely = set(likely_transgenes(texts))
    transgene = np.array([text in likely for text in texts], dtype=bool)
    if by_id:
        said = [canonical_type(feature_types[i]) == GENE_EXPRESSION for i in rest]
        no_id = np.isin(ids[rest].astype(str), NO_ID)
        found = np.array([may_be_antibody(text) for text in texts], dtype=bool)
        found &= ~transgene & (~np.array(said, dtype=bool) | no_id)
    else:
        found = antibody_panel(texts, transgene)
    apart = [int(i) for i in rest[found]]
    for i, text in zip(rest[found], np.array(texts, dtype=object)[found], strict=True):
        block[i] = HASHTAGS if WRITTEN_AS_HASHTAG.fullmatch(text) else ANTIBODIES
    return apart


def _genes_by_symbol(rest: np.ndarray, ids: np.ndarray, gene_ids: np.ndarray) -> np.ndarray:
    """Return those features of a file of Ensembl IDs that are genes by another name.

    Files that were put together of two annotations hold symbols where one had no ID. A feature
    without an ID is one of them, and one whose ID is the symbol of a single gene that the file
    does not hold by its own ID: a transgene that carries a gene's name stands beside the gene.
    """
    symbols, _ = ids_of_symbol()
    held = set(gene_ids.tolist())
    named = [
        ids[i] in NO_ID or (len(symbols.get(ids[i], ())) == 1 and not symbols[ids[i]] <= held)
        for i in rest
    ]
    return rest[np.array(named, dtype=bool)]


def _name_by_symbol(path, rest, ids, names, gene_ids, *, block, alone: bool) -> list[str]:
    """Fill in `gene_ids` and `block` of the features `rest` by symbol; return the notes."""
    texts = [HUMAN_PREFIX.sub("", names[i] or ids[i], count=1) for i in rest]
    found, ambiguous, unknown = match_symbols(texts)
    n_known = sum(map(bool, found))
    if alone and n_known < KNOWN_SHARE * len(texts):
        symbols, _ = ids_of_symbol()
        n_upper = sum(name.upper() in symbols for name in texts)
        species = "mouse gene names, " if n_upper > 2 * max(n_known, 1) else ""
        refuse(
            path,
            f"no human genes: {species}only {n_known} of {len(texts)} names are known "
            f"(e.g. {texts[0]})",
            "give a human library with Ensembl IDs",
        )
    transgenes = set(likely_transgenes(unknown))
    for i, text, gene_id in zip(rest, texts, found, strict=True):
        gene_ids[i] = gene_id
        if not gene_id:
            block[i] = TRANSGENE if text in transgenes else ""
    notes = [f"{n_known} genes identified by symbol, for the file has no Ensembl ID for them"]
    n_unknown = len(unknown) - sum(name in transgenes for name in unknown)
    if ambiguous:
        some = ", ".join(sorted(ambiguous)[:3])
        notes.append(f"{len(ambiguous)} symbols stand for several genes, left out (e.g. {some})")
    if n_unknown:
        some = ", ".join([name for name in unknown if name not in transgenes][:3])
        notes.append(f"{n_unknown} symbols are not in the gene table, left out (e.g. {some})")
    return notes


def identify_counts(path: Path, file: FileMatrix) -> Counts:
    """Return the counts of a file by human gene, its other features in blocks.

    Columns of one gene (repeated IDs, PAR_Y copies) are added up.

    Raises
    ------
    InputProblem
        Where no human gene is found, barcodes repeat or are empty, or a row without a type seems
        to be an antibody.
    """
    barcodes = file.barcodes
    if len(set(barcodes.tolist())) < len(barcodes):
        repeated, times = np.unique(barcodes.astype(str), return_counts=True)
        refuse(
            path,
            f"{(times > 1).sum()} barcodes occur more than once (e.g. {repeated[times > 1][0]})",
            "give one library a file, or make its barcodes unique",
        )
    if n_empty := sum(not barcode.strip() for barcode in barcodes.tolist()):
        refuse(path, f"{n_empty} of its barcodes are empty", "copy the file again")
    ids, block, notes = identify_features(path, file.ids, file.names, file.feature_types)
    untyped = np.array([canonical_type(word) == UNTYPED for word in file.feature_types], dtype=bool)
    refuse_antibodies(path, file.matrix, ids, untyped)
    columns = np.flatnonzero(ids != "")
    unique, target_of_column = _unique_in_order(ids[columns])
    if len(unique) < len(columns):
        again = np.bincount(target_of_column) > 1
        notes.append(
            f"{again.sum()} genes stand in several rows, added up (e.g. {unique[again][0]})"
        )
    target = np.full(len(ids), -1, np.int32)
    target[columns] = target_of_column
    first = columns[np.unique(target_of_column, return_index=True)[1]]
    known = symbol_of_id()
    symbols = np.array([known.get(ids[i]) or file.names[i] or ids[i] for i in first], dtype=object)
    whole = file.matrix
    blocks = {}
    for name in sorted(set(block[ids == ""].tolist()) - {"", GENE_EXPRESSION}):
        of_block = np.flatnonzero((block == name) & (ids == ""))
        labels = [file.names[i] or file.ids[i] for i in of_block]
        if len(set(labels)) < len(labels):
            labels = [file.ids[i] for i in of_block]
        blocks[name] = FeatureBlock(np.array(labels, dtype=object), select_columns(whole, of_block))
    return Counts(
        matrix=merge_columns(whole, target, len(unique)),
        barcodes=barcodes,
        gene_ids=unique,
        symbols=symbols,
        blocks=blocks,
        notes=(*file.notes, *notes),
    )


def _unique_in_order(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the distinct values in order of first appearance, and each value's place there."""
    place: dict[str, int] = {}
    places = np.array([place.setdefault(v, len(place)) for v in values], np.int32)
    return np.array(list(place), dtype=object), places
