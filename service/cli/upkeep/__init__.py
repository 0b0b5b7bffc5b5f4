"""What runs a service and looks after what it stores: one file a command, on the machine of the data."""
