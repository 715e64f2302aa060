"""One list of judged genes, from the configuration, obeyed by all that choose cells."""

import numpy as np
import pytest
from relapsescope.clones.patient_clones import clone_settings
from relapsescope.clones.plasma_cells import gene_space
from relapsescope.intake.genes import gene_table
from relapsescope.intake.judged_genes import judged_genes
from relapsescope.libraries.markers import read_markers
from relapsescope.run.config_file import default_values

CONFIG = default_values()


def test_the_list_is_the_configurations_each_gene_once():
    settings = {
        "antigens": {"car_target": "CD19", "genes": ["TNFRSF17", "CD19"]},
        "anxa1": {"gene": "ANXA1"},
    }
    assert judged_genes(settings) == ("CD19", "TNFRSF17", "ANXA1")
    assert judged_genes({"judged_genes": ["A", "B"]} | settings) == ("A", "B")
    assert judged_genes({"lineage": {}}) == ()


@pytest.mark.parametrize("gene", ["SDC1", "CD19", "MZB1"])
def test_a_gene_that_is_judged_chooses_no_lineage_and_no_clone(gene):
    """A marker of the shipped table, put on the list, leaves every step that chooses cells."""
    section = CONFIG["antigens"] | {"genes": ["TNFRSF17", gene]}
    judged = judged_genes(CONFIG | {"antigens": section})
    rates = CONFIG["lineage"]["rate_levels"]
    assert gene in read_markers(rates).features
    markers = read_markers(rates, judged=judged)
    assert gene not in markers.features
    table = gene_table()
    at = np.flatnonzero(table.symbols.astype(str) == gene)
    assert gene_space(table.gene_ids).used[at].all()
    settings = clone_settings(CONFIG | {"antigens": section})
    assert not gene_space(table.gene_ids, judged=settings.judged).used[at].any()
