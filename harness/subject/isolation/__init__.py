"""What keeps a subject from what is not its own: the kernel's words for it, and a process apart."""
