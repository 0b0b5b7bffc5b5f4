"""What a process asks of kernel, allocator and collector. Each can be switched off in the settings."""
