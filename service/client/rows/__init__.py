"""Rows as people have them in a program: from arrays, frames, images and files to what the service takes."""
