"""Many people at one served site: they submit jobs and watch them."""
