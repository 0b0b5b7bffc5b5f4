"""The data of an update: what is stored, remembered and made of the batches of one model."""
