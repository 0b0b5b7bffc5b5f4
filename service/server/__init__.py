"""The machinery below the application: sockets, the protocol, the fast path of a prediction."""
