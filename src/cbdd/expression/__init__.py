"""Values of documents and expressions that compute them: $expr, computed fields, pipelines."""
