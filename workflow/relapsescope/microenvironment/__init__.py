"""The microenvironment: composition, suppression, ligands and receptors."""
