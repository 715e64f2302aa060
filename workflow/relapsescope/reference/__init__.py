"""What travels: a reference frozen from a cohort or shipped, and new samples judged against it."""
