"""One library alone: ambient RNA, quality, lineages, doublets, dividing cells."""
