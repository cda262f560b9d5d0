"""The benchmark report as one HTML file: page, charts, flipped items with thumbnails."""
