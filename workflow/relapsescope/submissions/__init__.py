"""How a laboratory hands in a sample: found in its folder, checked, entered, taken out again."""
