"""Load for minutes: what goes on while processes are killed, and whether anything grows."""
