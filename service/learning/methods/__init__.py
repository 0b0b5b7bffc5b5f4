"""METHODS: the one list of methods. A method is one file here and one entry in this list."""
