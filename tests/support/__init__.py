"""What system tests are built from: sites, and the patience to wait for them."""
