"""The student valley: a frozen frame encoder, a temporal module, a linear projector and a causal language model."""
