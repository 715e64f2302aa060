"""What each row of a matrix is, decided once: RNA, antibodies, hashtags, guides, peaks.

The type is written in many words (Cell Ranger's own, `GEX` and `ADT` of multimodal references,
gene biotypes of CELLxGENE, `NA` of joined tables), or not at all. RNA is what is typed so or has a
gene's own Ensembl ID; where neither tells, the name may show an antibody. What could be either is
refused with its row: one antibody read as RNA makes a lost antigen look retained.
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import takewhile
from pathlib import Path

import numpy as np

from relapsescope.intake.counts import GENE_EXPRESSION, refuse
from relapsescope.intake.genes import gene_table

ANTIBODIES = "Antibody Capture"
HASHTAGS = "Multiplexing Capture"
UNTYPED = ""
"""Neither the file's word nor the row's ID says what it is."""

# The words, without case, spaces and signs.
WORDS = {
    GENE_EXPRESSION: {
        *("geneexpression", "gex", "rna", "gene", "genes", "mrna", "totalrna", "transcript"),
        *("transcriptome", "expression", "exon", "exonic", "geneexpr", "genexpression", "sct"),
        *("scrna", "snrnaseq", "scrnaseq", "cdna", "endogenous"),
    },
    ANTIBODIES: {
        *("antibodycapture", "antibody", "antibodies", "adt", "adts", "protein", "proteins"),
        *("prot", "cite", "citeseq", "abseq", "ab", "surfaceprotein", "surfaceproteins"),
        *("proteinexpression", "totalseq", "antibodyderivedtag", "antibodyderivedtags"),
    },
    HASHTAGS: {
        *("multiplexingcapture", "hto", "htos", "hashtag", "hashtags", "hashing", "cmo"),
        *("hashtagoligo", "cellhashing", "multiplexing"),
    },
    "CRISPR Guide Capture": {"crisprguidecapture", "crispr", "guide", "guides", "sgrna", "grna"},
    "Peaks": {"peaks", "peak", "atac", "chromatinaccessibility", "atacpeaks"},
    "Antigen Capture": {"antigencapture", "beam"},
    "Custom": {"custom"},
}
# Biotypes of GENCODE and Ensembl, as CELLxGENE's `feature_type` has them since schema 5.2.
BIOTYPE = re.compile(
    r"proteincoding.*|.*pseudogene.*|(lnc|linc|mi|mt|mtt|mtr|sn|sno|sca|sc|r|t|s|v|vault|misc|pi)rna"
    r"|ncrna|(ig|tr)[vdjc]gene|tec|ribozyme|nonsensemediateddecay|retainedintron|antisense|artifact"
    r"|processedtranscript|senseintronic|senseoverlapping|bidirectionalpromoterlncrna|nonstopdecay"
)
MISSING = {"", "na", "nan", "none", "null", "unknown", "unclassified"}
TYPE_COLUMNS = ("feature_types", "feature_type", "featuretype", "type", "modality", "assay")

# What antibodies against the antigens are called beside the gene's own name (HGNC protein names).
PROTEIN_NAMES = {
    "TNFRSF17": ("BCMA", "CD269"),
    "FCRL5": ("CD307E", "FCRH5"),
    "SLAMF7": ("CD319", "CRACC", "CS1"),
    "SDC1": ("CD138",),
    "ITGB7": ("INTEGRINB7", "INTEGRINBETA7"),
    "LY9": ("CD229",),
}
CD_NAME = re.compile(r"(?i)CD\d+[a-z]{0,2}(\d)?")
# Forms in which tools and vendors write antibodies: CD3_UCHT1 (clone), ADT-CD4, anti-CD8, …
WRITTEN_AS_ANTIBODY = re.compile(
    r"(?i)(?:(?:adt|ab|prot|cite|protein|totalseq[a-d]?)[_\-.: ].+"
    r"|.+[_\-.: |](?:adt|prot|protein|totalseq[_\-]?[a-d]?\d*|total[_\-]?[a-d]|pabo?|ahs\d+.*|ab)"
    r"|(?:anti|hu|human)[_\-. ].*cd\d+.*|anti[_\-. ].+"
    r"|.*(?:isotype|ig[gm]\d?[abk]?[_\-. ]?(?:ctrl|control|fc)).*"
    r"|(?:mouse|rat|hamster)[_\-. ]?igg.*"
    r"|cd\d+[a-z]{0,2}(?:[_\-.|:/ (]+\S.*)"
    r"|c\d{4}[_\-].+)"
)
WRITTEN_AS_HASHTAG = re.compile(r"(?i)(?:.*hashtag.*|hto[_\-. ]?.*|cmo\d+.*)")
# A panel of antibodies stands at an end of a matrix; only whole transcriptomes have such an order.
WHOLE_TRANSCRIPTOME = 500
# Most rows between two antibodies of one panel that are named as genes (KLRG1, TIGIT).
PANEL_GAP = 4


def canonical_type(word: str) -> str | None:
    """Return the feature type that a word stands for, `UNTYPED` for a missing one, None unknown."""
    plain = re.sub(r"[^a-z0-9]", "", word.lower())
    if plain in MISSING:
        return UNTYPED
    for name, words in WORDS.items():
        if plain in words:
            return name
    return GENE_EXPRESSION if BIOTYPE.fullmatch(plain) else None


def types_column(columns: dict[str, np.ndarray]) -> np.ndarray | None:
    """Return the column of a table of features that holds their types, None where none does.

    One of the usual names whose words are known, else any column of few words among which there
    is one for RNA and one for something else: tables are joined and columns renamed.
    """
    folded = {re.sub(r"[^a-z]", "_", name.lower()): column for name, column in columns.items()}
    named = [folded[name] for name in TYPE_COLUMNS if name in folded]
    for column in named:
        if {canonical_type(str(word)) for word in set(column)} - {None, UNTYPED}:
            return column
    for column in columns.values():
        words = set(column[:: max(1, len(column) // 2000)]) | set(column[-200:]) | set(column[:200])
        if len(words) > 12 or len(words) < 2:
            continue
        found = {canonical_type(str(word)) for word in words}
        if GENE_EXPRESSION in found and ANTIBODIES in found:
            return column
    return named[0] if named else None


def resolve_types(
    path: Path, types: np.ndarray, names: np.ndarray, gene_ids: np.ndarray
) -> np.ndarray:
    """Return each row's feature type in Cell Ranger's words.

    Parameters
    ----------
    path
        The file, for messages.
    types, names
        (n_features,) str as the file has them.
    gene_ids
        (n_features,) human Ensembl ID, "" where the row's ID is none.

    Returns
    -------
    (n_features,) str objects; `UNTYPED` where nothing tells; unknown words of rows without an
    Ensembl ID stay as they are: such rows are kept apart.

    Raises
    ------
    InputProblem
        Where rows of an unknown type could be RNA as well as something else.
    """
    meaning = {word: canonical_type(word) for word in set(types.tolist())}
    unknown = sorted(word for word, type_ in meaning.items() if type_ is None)
    resolved = np.array([meaning[word] for word in types], dtype=object)
    has_id = gene_ids != ""
    resolved[(resolved == UNTYPED) & has_id] = GENE_EXPRESSION
    _refuse_second_rows(path, types, names, gene_ids, resolved=resolved, meaning=meaning)
    if not unknown:
        return resolved
    n_known = Counter(type_ for type_ in meaning.values() if type_ not in (None, UNTYPED))
    if not n_known and len(unknown) == 1:
        # One word for every row says nothing (a genome's name in the third column).
        resolved[:] = np.where(has_id, GENE_EXPRESSION, UNTYPED)
        return resolved
    for word in unknown:
        own = types == word
        with_id = own & has_id
        if with_id.sum() > 0.5 * own.sum():
            resolved[with_id] = GENE_EXPRESSION
            own &= ~has_id
        elif not n_known[GENE_EXPRESSION]:
            _refuse_row(path, int(np.argmax(own)), names, word)
        resolved[own] = word
    return resolved


def _refuse_second_rows(path, types, names, gene_ids, *, resolved, meaning) -> None:
    """Refuse rows without a known type whose gene has a row of RNA as well."""
    said = np.array([meaning[word] == GENE_EXPRESSION for word in types])
    if not said.any() or said.all():
        return
    unclear = np.array([meaning[word] in (None, UNTYPED) for word in types]) & (gene_ids != "")
    if not unclear.any():
        return
    again = unclear & np.isin(gene_ids.astype(str), np.unique(gene_ids[said].astype(str)))
    if again.any():
        row = int(np.argmax(again))
        _refuse_row(path, row, names, types[row])


def _refuse_row(path: Path, row: int, names: np.ndarray, word: str) -> None:
    refuse(
        path,
        f"feature {row + 1} ({names[row]}) has the type {word!r}: RNA or an antibody",
        "write Gene Expression or Antibody Capture as its feature type",
    )


@lru_cache(maxsize=1)
def _surface_genes() -> tuple[frozenset[str], frozenset[str]]:
    """Return all gene symbols, and those of genes with a CD number or among the antigens."""
    table = gene_table()
    surface = {
        symbol
        for symbol, synonyms in zip(table.symbols, table.synonyms, strict=True)
        if CD_NAME.fullmatch(symbol)
        or any(CD_NAME.fullmatch(name) for name in synonyms.split(";") if name)
    }
    return frozenset(table.symbols), frozenset({*surface, *PROTEIN_NAMES, "GPRC5D"})


def antibody_of(gene: str, names: Sequence[str]) -> int | None:
    """Return the place of the antibody against a gene's protein, None where there is none.

    Vendors write clones, barcodes and the protein's other names around the one that counts:
    CD269-BCMA, CD38_HIT2_TotalSeqB, CD269|TNFRSF17|AHS0103|pAbO, Hu.CD138, anti-human CS1.
    """
    wanted = {_plain(name) for name in (gene, *PROTEIN_NAMES.get(gene, ()))}
    for place, name in enumerate(names):
        parts = {_plain(part) for part in re.split(r"[^A-Za-z0-9]+", str(name))}
        if wanted & (parts | {_plain(str(name))}) and "ISOTYPE" not in parts:
            return place
    return None


def _plain(name: str) -> str:
    return re.sub(r"[^A-Z0-9]", "", name.upper())


def names_an_antibody(name: str) -> bool:
    """Return whether no annotation calls a gene so, but antibodies are: CD269, BCMA, ADT_CD4."""
    symbols, _ = _surface_genes()
    if name in symbols:
        return False
    proteins = {word for words in PROTEIN_NAMES.values() for word in words}
    return bool(CD_NAME.fullmatch(name) or _plain(name) in proteins or _written_as_tag(name))


def _written_as_tag(name: str) -> bool:
    return bool(WRITTEN_AS_ANTIBODY.fullmatch(name) or WRITTEN_AS_HASHTAG.fullmatch(name))


def may_be_antibody(name: str) -> bool:
    """Return whether a row of this name may be an antibody: one of its forms, or CD38, ITGAX."""
    return name in _surface_genes()[1] or names_an_antibody(name)


def antibody_panel(names: list[str], is_transgene: np.ndarray) -> np.ndarray:
    """Return which rows are antibodies, of a file that names its features and not their types.

    Names that no annotation has for a gene count wherever they stand. Names of genes with a CD
    number (CD38) count where they stand together at the file's end or beginning: annotations are
    in the order of the genome or of the alphabet, in neither of which those places are theirs.

    Parameters
    ----------
    names
        As the file has them, in its order.
    is_transgene
        (n_features,) bool, names that look like a CAR: they may stand between.
    """
    if len(names) < WHOLE_TRANSCRIPTOME:
        # A targeted panel follows no annotation: it may call its genes by any of their names.
        symbols, _ = _surface_genes()
        written = [name not in symbols and _written_as_tag(name) for name in names]
        return np.array(written, dtype=bool) & ~is_transgene
    found = np.array([names_an_antibody(name) for name in names], dtype=bool) & ~is_transgene
    for order in (range(len(names) - 1, -1, -1), range(len(names))):
        reached, between = False, []
        for place in order:
            if is_transgene[place]:
                continue
            if found[place] or CD_NAME.fullmatch(names[place]):
                found[[*between, place]] = True
                reached, between = True, []
            elif len(between) < PANEL_GAP and (reached or may_be_antibody(names[place])):
                between.append(place)
            else:
                break
        beside = takewhile(lambda place: may_be_antibody(names[place]), between if reached else [])
        found[list(beside)] = True
    return found
