"""From text to documents: ``sources`` finds files, ``gather`` reads, cleans and fingerprints what is in them."""
