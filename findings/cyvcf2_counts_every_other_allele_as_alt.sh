#!/usr/bin/env bash
# cyvcf2 0.35.0: `gt_alt_freqs` of a call at a site with several alleles is the share of all of them.
#
# Expected: the depth and share of "the alternate allele" are those of the allele that the genotype
#   names, the fourth of five for 0/4, or of each allele, as AD gives them.
# Seen: everything that is not the reference is summed. A subclonal variant with 30 of 97 reads reads
#   0.39 instead of 0.31, and 1/2 with 30 and 10 reads of 100 is one number, 0.40: neither variant has it.
#   A variant allele frequency that goes into a table of mutations must come from format("AD").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv" 2>/dev/null || python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check cyvcf2==0.35.0 numpy==2.1.3
cd "$folder"
cat > sites.vcf <<'VCF'
##fileformat=VCFv4.2
##contig=<ID=chr16,length=90338345>
##FORMAT=<ID=GT,Number=1,Type=String,Description="Genotype">
##FORMAT=<ID=AD,Number=R,Type=Integer,Description="Reads of each allele">
#CHROM POS ID REF ALT QUAL FILTER INFO FORMAT S1
chr16 12000000 . G C 50 PASS . GT:AD 0/1:70,30
chr16 12000100 . G C,T 50 PASS . GT:AD 1/2:60,30,10
chr16 12000200 . GA G,GAA,GT,CA 50 PASS . GT:AD 0/4:60,4,2,1,30
VCF
sed -i '/^[^#]/s/ /\t/g; /^#CHROM/s/ /\t/g' sites.vcf
venv/bin/python - <<'PY'
from importlib.metadata import version

from cyvcf2 import VCF

seen = []
for site in VCF("sites.vcf"):
    called = [allele for allele in site.genotypes[0][:2] if allele]
    depths = site.format("AD")[0]
    own = [round(float(depths[allele] / depths.sum()), 2) for allele in called]
    seen.append((round(float(site.gt_alt_freqs[0]), 2), int(site.gt_alt_depths[0])))
    print(site.genotypes[0][:2], "AD", depths.tolist(), "share of the called alleles", own, "gt_alt_freqs", seen[-1][0])
print("cyvcf2", version("cyvcf2"))
assert seen[0] == (0.3, 30), "one alternate allele no longer gives its own share"
assert seen[1] == (0.4, 40) and seen[2] == (0.38, 37), f"shares are now of the called allele: {seen}"
PY
