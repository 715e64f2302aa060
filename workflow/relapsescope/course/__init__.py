"""The clinical course: response, relapse, salvage, survival; genes in bulk cohorts."""
