"""A web service that takes orders, with CBDD as its database."""
