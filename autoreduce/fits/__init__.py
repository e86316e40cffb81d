"""Files: names, header blocks, cards, images by bands, writers; nothing appears by halves."""
