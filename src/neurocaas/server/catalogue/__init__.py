"""What people read about analyses before they run one: which there are, their versions, their cost, sample data."""
