"""What the cells show: antigens, ANXA1, targets, from counted molecules."""
