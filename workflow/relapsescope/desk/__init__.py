"""A page on this machine for people who use no shell: hand a sample in, see what became of it."""
