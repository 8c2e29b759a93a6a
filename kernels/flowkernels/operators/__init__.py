"""The operators as `torch.library` knows them: schema, implementations, fake, autograd, autocast."""
