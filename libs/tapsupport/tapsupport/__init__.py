"""What Tributary's taps share and no vendor knows."""
