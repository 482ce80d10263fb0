"""What `plugrad.testing.opcheck` is made of."""
