"""What it means: evidence of each mechanism, verdicts, sentences, the study's claims."""
