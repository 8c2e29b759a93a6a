"""The `torch.library` operators: schema, implementations, fake, autograd, autocast."""
