"""Models that segment an image: CLIPSeg with the text tower of a CLIP model, and proposals of masks."""
