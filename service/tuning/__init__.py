"""What a process asks of kernel, allocator and collector, each with a switch in the settings; how it starts another;
room on a disk."""
