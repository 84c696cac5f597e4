"""The real cache in a made-up world: virtual time, a simulated network and Redis, one seed that decides everything."""
