"""Charts as SVG text, made of numbers: pure functions. Each has a title and a description for who cannot see it;
colours are classes of style.css, so that they follow light and dark."""
