"""What is joined over libraries: the table of cells, objects for other tools."""
