"""For developers: tools that hold a secret key or make throw-away keys. No server reaches them."""
